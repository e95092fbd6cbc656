/**
 * The partial sums of one worker for one position: micro-batch gradients come in any order (compute lanes finish as they
 * like) and are folded into the maximal nodes of the worker's runs, two children at a time, as soon as both are there.
 * A sum goes into the vector of the child that waited and the other's is reused, so micro-batches in order need at most
 * log2(run) vectors at a time.
 */
import { childrenOf, maximalSubtrees, type Run } from "@lockstep/protocol";
import { addCounts, addInto } from "./sum.js";
import { VectorPool } from "./vector-pool.js";

/** A node of the tree with its sums. */
export interface PartialSum extends Run {
  /** Sum over the node's micro-batches of the flat vector. */
  readonly vector: Float32Array;
  /** Sum over the node's micro-batches of the integer counts, mod 2^64. */
  readonly counts: BigUint64Array;
}

export interface PartialSumsOptions {
  readonly position: number;
  /** M' of the position: micro-batches that exist. */
  readonly microBatches: number;
  /** This worker's runs of micro-batches; may be empty. */
  readonly runs: readonly Run[];
  /** Values in the flat vector; 0 where only counts are reduced. */
  readonly vectorLength: number;
  readonly countsLength: number;
  /** Where vectors come from and go back to. */
  readonly pool?: VectorPool;
}

/** A node on its way to the maximal node above it. */
interface Place {
  readonly node: Run;
  readonly parent: Place | undefined;
  sibling: Place | undefined;
  sum: PartialSum | undefined;
}

export class PartialSums {
  readonly position: number;
  readonly microBatches: number;
  readonly vectorLength: number;
  readonly countsLength: number;
  /** The nodes that this worker sums, in tree order. */
  readonly nodes: readonly Run[];
  readonly #pool: VectorPool;
  readonly #leaves = new Map<number, Place>();
  readonly #tops: Place[];
  #missing = 0;

  constructor(options: PartialSumsOptions) {
    this.position = options.position;
    this.microBatches = options.microBatches;
    this.vectorLength = options.vectorLength;
    this.countsLength = options.countsLength;
    this.#pool = options.pool ?? new VectorPool();
    this.nodes = maximalSubtrees(options.runs, options.microBatches);
    this.#tops = this.nodes.map((node) => this.#placesBelow(node, undefined));
  }

  /** Whether every micro-batch of the runs has been added. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /**
   * Adds one micro-batch; `vector` and `counts` are copied or summed and may be reused at once. Adding one again changes
   * nothing (a redone micro-batch has the same bits).
   * @throws Error when the micro-batch is not of this worker's runs or the lengths differ.
   */
  add(microBatch: number, vector: Float32Array, counts: BigUint64Array): void {
    const leaf = this.#leaves.get(microBatch);
    if (leaf === undefined) throw new Error(`micro-batch ${microBatch} is not of this worker's runs`);
    if (vector.length !== this.vectorLength || counts.length !== this.countsLength) {
      const found = `${vector.length} values and ${counts.length} counts`;
      throw new Error(`micro-batch ${microBatch} brings ${found}, not ${this.vectorLength} and ${this.countsLength}`);
    }
    if (leaf.sum !== undefined || isFolded(leaf)) return;
    this.#missing--;
    if (leaf.sibling?.sum !== undefined) {
      this.#fold(leaf, { ...leaf.node, vector, counts });
      return;
    }
    const copy = this.#pool.take(this.vectorLength);
    copy.set(vector);
    leaf.sum = { ...leaf.node, vector: copy, counts: counts.slice() };
  }

  /**
   * The finished nodes in tree order.
   * @throws Error while a micro-batch is missing.
   */
  finished(): PartialSum[] {
    return this.#tops.map((top) => {
      if (top.sum === undefined) throw new Error(`partial [${top.node.first}, ${top.node.end}) is not finished`);
      return top.sum;
    });
  }

  /** Gives the vectors back to the pool; nothing of this object may be used afterwards. */
  release(): void {
    for (const place of this.#allPlaces()) {
      if (place.sum !== undefined) this.#pool.give(place.sum.vector);
      place.sum = undefined;
    }
    this.#leaves.clear();
  }

  #placesBelow(node: Run, parent: Place | undefined): Place {
    const place: Place = { node, parent, sibling: undefined, sum: undefined };
    if (node.end - node.first === 1) {
      this.#leaves.set(node.first, place);
      this.#missing++;
      return place;
    }
    const [left, right] = childrenOf(node);
    const leftPlace = this.#placesBelow(left, place);
    const rightPlace = this.#placesBelow(right, place);
    leftPlace.sibling = rightPlace;
    rightPlace.sibling = leftPlace;
    return place;
  }

  /** Sums upwards from a node whose sibling waits: the sum goes into the sibling's vector. */
  #fold(place: Place, sum: PartialSum): void {
    const { parent, sibling } = place;
    const waiting = sibling?.sum;
    if (parent === undefined || sibling === undefined || waiting === undefined) {
      place.sum = sum;
      return;
    }
    const [left, right] = place.node.first < sibling.node.first ? [sum, waiting] : [waiting, sum];
    addInto(waiting.vector, left.vector, right.vector);
    addCounts(waiting.counts, sum.counts);
    sibling.sum = undefined;
    if (place.sum !== undefined) this.#pool.give(place.sum.vector);
    place.sum = undefined;
    parent.sum = { ...parent.node, vector: waiting.vector, counts: waiting.counts };
    this.#fold(parent, parent.sum);
  }

  *#allPlaces(): Generator<Place> {
    const seen = new Set<Place>();
    for (const leaf of this.#leaves.values()) {
      for (let place: Place | undefined = leaf; place !== undefined && !seen.has(place); place = place.parent) {
        seen.add(place);
        yield place;
      }
    }
  }
}

/** Whether a leaf has already gone into a sum above it. */
function isFolded(leaf: Place): boolean {
  for (let above = leaf.parent; above !== undefined; above = above.parent) if (above.sum !== undefined) return true;
  return false;
}
