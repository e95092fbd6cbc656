/**
 * One position's reduction as one member sees it: which nodes each member sends, what has come, what may be summed, and
 * what is ready to be sent. No sockets here.
 *
 * Values, not messages (PROTOCOL R7): a frame is placed by (position, node, range) and summed when every member's are
 * there, in tree order; a frame that comes again changes nothing. An owner's sum is made, and so published, only after
 * its own partials are there, which it has only at position s-1 (R2).
 */
import { assertTiling, maximalSubtrees, type Run } from "@lockstep/protocol";
import { FrameKind, Wakeups, crc32c, type Frame } from "@lockstep/rpc";
import type { PartialSum, PartialSums } from "./partials.js";
import { pieceCount, pieceLength, pieceOf, segmentOf, type VectorRange } from "./segments.js";
import { addCounts } from "./sum.js";
import { TileSum, type Tile } from "./tile-sum.js";
import type { VectorPool } from "./vector-pool.js";

/** What a position reduces; the same on every member. */
export interface PositionShape {
  readonly position: number;
  /** M': micro-batches of this position. */
  readonly microBatches: number;
  /** Runs of each member, by rank; a member without work has none. */
  readonly runs: readonly (readonly Run[])[];
  /** Values in the flat vector; 0 where only counts are reduced. */
  readonly vectorLength: number;
  readonly countsLength: number;
}

/** A node of a peer, as far as it has come. */
interface Incoming {
  readonly node: Run;
  /** The node's values of this member's range. */
  readonly values: Float32Array;
  readonly placed: Uint8Array;
}

/** Where a frame's payload goes. */
interface Slot {
  readonly piece: number;
  /** By piece: 1 once it is there. */
  readonly arrived: Uint8Array;
  readonly values: Float32Array;
  /** Of `values`. */
  readonly range: VectorRange;
  /** A node's partial, or a reduced segment. */
  readonly partial: boolean;
}

/** Up to this size of the flat vector every member pulls every partial and sums alone: one hop instead of two. */
export const oneHopBytesMax = 64 * 1024;

const bytesPerValue = Float32Array.BYTES_PER_ELEMENT;

/** A piece is summed this many values at a time, and its checksum taken while they are in the second cache. */
const summedLength = 64 * 1024;

export class PositionExchange {
  readonly shape: PositionShape;
  /** Two: partials to the segments' owners, reduced segments back. One: partials to everyone. */
  readonly hops: 1 | 2;
  /** Wakes whoever waits for something to send or for the end. */
  readonly changes = new Wakeups();
  readonly #pool: VectorPool;
  /** The reduced vector; of a member that is alone, the root of its own partials. */
  #result: Float32Array | undefined;
  readonly #counts: BigUint64Array;
  /** What this member sums: its segment, or everything with one hop. */
  readonly #ownRange: VectorRange;
  readonly #incoming: readonly Map<number, Incoming>[];
  readonly #heardEmpty: Uint8Array;
  /** By piece of the own range: peers' nodes still missing. */
  readonly #missingNodes: Uint16Array;
  /** By piece of the own range: CRC32C of the reduced values, -1 until summed. */
  readonly #reducedChecksums: Float64Array;
  readonly #reducedPlaced: readonly Uint8Array[];
  #published: readonly PartialSum[] | undefined;
  #tileSum: TileSum | undefined;
  #unsummed: number;
  /** Per rank, and in all: frames that this member still needs. */
  readonly #missingFrom: Int32Array;
  #missingFrames = 0;

  constructor(shape: PositionShape, rank: number, pool: VectorPool) {
    const ranks = shape.runs.length;
    assertTiling(
      shape.runs.flatMap((runs) => maximalSubtrees(runs, shape.microBatches)),
      shape.microBatches,
    );
    this.shape = shape;
    this.hops = shape.vectorLength * bytesPerValue <= oneHopBytesMax ? 1 : 2;
    this.#pool = pool;
    this.#result = ranks === 1 ? undefined : pool.take(shape.vectorLength);
    this.#counts = new BigUint64Array(shape.countsLength);
    this.#ownRange = this.rangeOf(rank);
    const pieces = pieceCount(this.#ownRange);
    this.#unsummed = pieces;
    this.#missingNodes = new Uint16Array(pieces);
    this.#reducedChecksums = new Float64Array(pieces).fill(-1);
    this.#missingFrom = new Int32Array(ranks);
    this.#heardEmpty = new Uint8Array(ranks);
    this.#incoming = shape.runs.map((runs, from) => (from === rank ? new Map() : this.#expectFrom(from, runs)));
    this.#reducedPlaced = shape.runs.map((_runs, from) => {
      const expected = from === rank || this.hops === 1 ? 0 : pieceCount(this.rangeOf(from));
      this.#missingFrom[from] = (this.#missingFrom[from] as number) + expected;
      return new Uint8Array(expected);
    });
    this.#missingFrames = this.#missingFrom.reduce((sum, missing) => sum + missing, 0);
  }

  #expectFrom(from: number, runs: readonly Run[]): Map<number, Incoming> {
    const pieces = pieceCount(this.#ownRange);
    const nodes = maximalSubtrees(runs, this.shape.microBatches);
    this.#missingFrom[from] = nodes.length === 0 ? 1 : nodes.length * pieces;
    for (let piece = 0; piece < pieces; piece++) {
      this.#missingNodes[piece] = (this.#missingNodes[piece] as number) + nodes.length;
    }
    const length = this.#ownRange.end - this.#ownRange.first;
    return new Map(
      nodes.map((node) => [node.first, { node, values: this.#pool.take(length), placed: new Uint8Array(pieces) }]),
    );
  }

  /** What `rank` sums. */
  rangeOf(rank: number): VectorRange {
    const { runs, vectorLength } = this.shape;
    return this.hops === 1 ? { first: 0, end: vectorLength } : segmentOf(rank, runs.length, vectorLength);
  }

  /** Makes this member's own partials known: from here on they are sent. Pieces are summed from sumArrived on. */
  publish(partials: PartialSums): void {
    const own = partials.finished();
    for (const partial of own) addCounts(this.#counts, partial.counts);
    this.#published = own;
    if (this.#result === undefined) this.#unsummed = 0;
    this.changes.wake();
  }

  /** Sums and publishes what has come, and from here on each piece as it is complete. */
  sumArrived(): void {
    const own = this.#published;
    if (own === undefined || this.#result === undefined) return;
    const tiles: Tile[] = own.map((partial) => ({ ...partial, values: partial.vector, base: 0 }));
    for (const nodes of this.#incoming) {
      for (const { node, values } of nodes.values()) tiles.push({ ...node, values, base: this.#ownRange.first });
    }
    this.#tileSum = new TileSum(this.shape.microBatches, tiles, this.#pool);
    for (let piece = 0; piece < this.#missingNodes.length; piece++) this.#sumWhenComplete(piece);
  }

  get published(): readonly PartialSum[] | undefined {
    return this.#published;
  }

  get complete(): boolean {
    return this.#unsummed === 0 && this.#missingFrames === 0;
  }

  /** Ranks from which something is still missing. */
  missingRanks(): number[] {
    return [...this.#missingFrom.keys()].filter((rank) => this.#missingFrom[rank] !== 0);
  }

  /** CRC32C of a reduced piece of the own range, or undefined until it is summed. */
  reducedChecksum(piece: number): number | undefined {
    const checksum = this.#reducedChecksums[piece] as number;
    return checksum < 0 ? undefined : checksum;
  }

  /** The whole reduced vector (once complete) and counts. */
  get result(): { sums: Float32Array; counts: BigUint64Array } {
    const sums = this.#result ?? this.#published?.[0]?.vector;
    if (sums === undefined) throw new Error(`position ${this.shape.position} is not reduced yet`);
    return { sums, counts: this.#counts };
  }

  /**
   * Where the payload of a frame of `from` goes; undefined when it has been placed already (or has no payload).
   * @throws Error when the frame is none that this position needs from that member.
   */
  place(from: number, frame: Frame, payloadBytes: number): Uint8Array | undefined {
    const slot = this.#slotOf(from, frame);
    if (slot === undefined || slot.arrived[slot.piece] === 1) return undefined;
    const bytes = (slot.range.end - slot.range.first) * bytesPerValue;
    const total = this.shape.vectorLength * bytesPerValue;
    if (payloadBytes !== bytes || frame.total !== total) {
      throw new Error(`a frame with ${payloadBytes} bytes of ${frame.total}, not ${bytes} of ${total}`);
    }
    return bytesOf(slot.values, slot.range);
  }

  /** Counts a frame whose payload is in its place. */
  placed(from: number, frame: Frame, payload: Uint8Array | undefined): void {
    const slot = this.#slotOf(from, frame);
    if (slot === undefined) this.#heardFrom(from);
    else if (payload !== undefined && slot.arrived[slot.piece] === 0) this.#arrive(from, slot, frame);
    if (this.complete) this.changes.wake();
  }

  /** The place of a frame; undefined for an empty partial. @throws Error when there is none for it. */
  #slotOf(from: number, frame: Frame): Slot | undefined {
    if (frame.kind === FrameKind.REDUCED && this.hops === 2) {
      const range = this.rangeOf(from);
      const piece = pieceOfFrame(frame, range);
      const arrived = this.#reducedPlaced[from] as Uint8Array;
      return { piece, arrived, values: this.result.sums, range: pieceOf(range, piece), partial: false };
    }
    if (frame.kind !== FrameKind.PARTIAL) {
      throw new Error(`a frame of kind ${frame.kind}, which a reduction has no use for`);
    }
    const incoming = this.#incoming[from];
    if (frame.nodeEnd === 0 && incoming?.size === 0) return undefined;
    if (frame.nodeEnd === 0) throw new Error("an empty partial, although its runs are not empty");
    const node = incoming?.get(frame.nodeFirst);
    if (node?.node.end !== frame.nodeEnd) {
      throw new Error(`a partial of [${frame.nodeFirst}, ${frame.nodeEnd}), which is no node of its runs`);
    }
    const piece = pieceOfFrame(frame, this.#ownRange);
    const { first, end } = pieceOf(this.#ownRange, piece);
    const range = { first: first - this.#ownRange.first, end: end - this.#ownRange.first };
    return { piece, arrived: node.placed, values: node.values, range, partial: true };
  }

  #arrive(from: number, slot: Slot, frame: Frame): void {
    if (slot.partial && slot.piece === slot.arrived.length - 1) addCounts(this.#counts, this.#countsOf(frame));
    slot.arrived[slot.piece] = 1;
    this.#missOneLess(from);
    if (!slot.partial) return;
    this.#missingNodes[slot.piece] = (this.#missingNodes[slot.piece] as number) - 1;
    this.#sumWhenComplete(slot.piece);
  }

  /** A member without micro-batches of this position is there, at position s-1. */
  #heardFrom(from: number): void {
    if (this.#heardEmpty[from] === 1) return;
    this.#heardEmpty[from] = 1;
    this.#missOneLess(from);
  }

  #missOneLess(from: number): void {
    this.#missingFrom[from] = (this.#missingFrom[from] as number) - 1;
    this.#missingFrames--;
  }

  /** Sums a piece once every node of it is there, never earlier: the order of arrival has no say. */
  #sumWhenComplete(piece: number): void {
    if (this.#tileSum === undefined || this.#missingNodes[piece] !== 0) return;
    const range = pieceOf(this.#ownRange, piece);
    const { sums } = this.result;
    let checksum = 0;
    for (let first = range.first; first < range.end; first += summedLength) {
      const part = { first, end: Math.min(range.end, first + summedLength) };
      this.#tileSum.sumInto(sums, part);
      if (this.hops === 2) checksum = crc32c(bytesOf(sums, part), checksum);
    }
    this.#reducedChecksums[piece] = checksum;
    this.#unsummed--;
    this.changes.wake();
  }

  #countsOf(frame: Frame): BigUint64Array {
    if (frame.counts.length !== this.shape.countsLength) {
      throw new Error(`a partial with ${frame.counts.length} counts, not ${this.shape.countsLength}`);
    }
    return BigUint64Array.from(frame.counts);
  }

  /** Gives every vector back; called when each member is known to have all that this one sent. */
  release(): void {
    this.#tileSum?.release();
    for (const nodes of this.#incoming) for (const { values } of nodes.values()) this.#pool.give(values);
    if (this.#result !== undefined) this.#pool.give(this.#result);
    this.#result = undefined;
  }
}

function pieceOfFrame(frame: Frame, range: VectorRange): number {
  const piece = (frame.offset / bytesPerValue - range.first) / pieceLength;
  if (Number.isInteger(piece) && piece >= 0 && piece < pieceCount(range)) return piece;
  throw new Error(`a frame at byte ${frame.offset}, where no piece of [${range.first}, ${range.end}) begins`);
}

/** A range of a float vector as bytes, in place. */
export function bytesOf(vector: Float32Array, range: VectorRange): Uint8Array {
  const offset = vector.byteOffset + range.first * bytesPerValue;
  return new Uint8Array(vector.buffer, offset, (range.end - range.first) * bytesPerValue);
}
