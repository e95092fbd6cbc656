/** Sums the nodes that the members sent, piece by piece, in the order of the reduction tree. */
import { childrenOf, type Run } from "@lockstep/protocol";
import { pieceLength, type VectorRange } from "./segments.js";
import { addInto } from "./sum.js";
import type { VectorPool } from "./vector-pool.js";

/** A node that was sent or is our own, and where its values for a range of the flat vector are. */
export interface Tile extends Run {
  /** Values of the node; index 0 is index `base` of the flat vector. */
  readonly values: Float32Array;
  readonly base: number;
}

export class TileSum {
  readonly #root: Run;
  /** Tile by first micro-batch. */
  readonly #tiles = new Map<number, Tile>();
  readonly #pool: VectorPool;
  /** Sums of right children that are no tiles, one piece per level of the tree, taken when first needed. */
  readonly #scratch: Float32Array[] = [];

  /** The tiles are nodes of the tree that tile [0, microBatches) once. */
  constructor(microBatches: number, tiles: readonly Tile[], pool: VectorPool) {
    this.#root = { first: 0, end: microBatches };
    this.#pool = pool;
    for (const tile of tiles) this.#tiles.set(tile.first, tile);
  }

  /** Puts the root's values of `range` (at most one piece) into `result`, a whole flat vector. */
  sumInto(result: Float32Array, range: VectorRange): void {
    const target = result.subarray(range.first, range.end);
    const tile = this.#tileValues(this.#root, range);
    if (tile === undefined) this.#sum(this.#root, target, range, 0);
    else target.set(tile);
  }

  release(): void {
    for (const scratch of this.#scratch) this.#pool.give(scratch);
    this.#scratch.length = 0;
  }

  /** Sums a node that is no tile into `target`. */
  #sum(node: Run, target: Float32Array, range: VectorRange, depth: number): Float32Array {
    const [left, right] = childrenOf(node);
    const leftSum = this.#tileValues(left, range) ?? this.#sum(left, target, range, depth);
    const rightSum =
      this.#tileValues(right, range) ?? this.#sum(right, this.#scratchFor(depth, target.length), range, depth + 1);
    addInto(target, leftSum, rightSum);
    return target;
  }

  #tileValues(node: Run, range: VectorRange): Float32Array | undefined {
    const tile = this.#tiles.get(node.first);
    return tile?.end === node.end ? tile.values.subarray(range.first - tile.base, range.end - tile.base) : undefined;
  }

  #scratchFor(depth: number, length: number): Float32Array {
    while (this.#scratch.length <= depth) this.#scratch.push(this.#pool.take(pieceLength));
    return (this.#scratch[depth] as Float32Array).subarray(0, length);
  }
}
