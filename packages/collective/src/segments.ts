/**
 * How the flat vector is cut: into one segment per rank, which that rank sums, and each range into pieces, which are
 * what one message carries. All in values (float32), not bytes.
 */
import { bulkPieceBytes } from "@lockstep/rpc";

/** Half-open range of indices into the flat vector. */
export interface VectorRange {
  readonly first: number;
  readonly end: number;
}

/** Values in a full piece. */
export const pieceLength = bulkPieceBytes / Float32Array.BYTES_PER_ELEMENT;

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
