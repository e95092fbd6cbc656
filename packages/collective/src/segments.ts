/**
 * How the flat vector is cut: into one segment per rank, which that rank sums, and each range into pieces, which are
 * what one message carries. All in values (float32), not bytes.
 */
/** Half-open range of indices into the flat vector. */
export interface VectorRange {
  readonly first: number;
  readonly end: number;
}

/**
 * Values in a full piece: 4 MiB. Measured over loopback with 16 MB on 2 and 4 ranks, 1 MiB took 8 % longer and 256 KiB a
 * third: a message costs its sender a pause and each end some calls. A segment of a few pieces is still summed while the
 * rest of it comes.
 */
export const pieceLength = 1024 * 1024;

/** The segment that `rank` owns of a vector of `length` values, cut as evenly as whole values allow. */
export function segmentOf(rank: number, ranks: number, length: number): VectorRange {
  return { first: Math.floor((length * rank) / ranks), end: Math.floor((length * (rank + 1)) / ranks) };
}

/** Pieces of a range. At least one: an empty range still has a message, which carries the counts. */
export function pieceCount(range: VectorRange): number {
  return Math.max(1, Math.ceil((range.end - range.first) / pieceLength));
}

export function pieceOf(range: VectorRange, piece: number): VectorRange {
  const first = range.first + piece * pieceLength;
  return { first, end: Math.min(range.end, first + pieceLength) };
}
