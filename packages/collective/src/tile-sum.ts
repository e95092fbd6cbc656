/** Sums the nodes that the members sent, piece by piece, in the order of the reduction tree. */
import { childrenOf, type MicroBatchRange } from "./reduction-tree.js";
import { pieceLength, type VectorRange } from "./segments.js";
import { addInto } from "./sum.js";

/** A node that was sent or is our own, and where its values for a range of the flat vector are. */
export interface Tile extends MicroBatchRange {
  /** Values of the node; index 0 is index `base` of the flat vector. */
  readonly values: Float32Array;
  readonly base: number;
}

export class TileSum {
  readonly #root: MicroBatchRange;
  /** Tile by first micro-batch. */
  readonly #tiles = new Map<number, Tile>();
  /** Sums of right children, one vector per level of the tree, made when first needed. */
  readonly #scratch: Float32Array[] = [];

  /** The tiles are nodes of the tree that tile [0, microBatches) once. */
  constructor(microBatches: number, tiles: readonly Tile[]) {
    this.#root = { first: 0, end: microBatches };
    for (const tile of tiles) this.#tiles.set(tile.first, tile);
  }

  /** Puts the root's values of `range` (at most one piece) into `result`, a whole flat vector. */
  sumInto(result: Float32Array, range: VectorRange): void {
    const target = result.subarray(range.first, range.end);
    const sum = this.#sumOf(this.#root, target, range, 0);
    if (sum !== target) target.set(sum);
  }

  /** The node's values of `range`: a view of its tile, or summed into `target`. */
  #sumOf(node: MicroBatchRange, target: Float32Array, range: VectorRange, depth: number): Float32Array {
    const tile = this.#tiles.get(node.first);
    if (tile?.end === node.end) return tile.values.subarray(range.first - tile.base, range.end - tile.base);
    const [left, right] = childrenOf(node);
    const leftSum = this.#sumOf(left, target, range, depth);
    const rightSum = this.#sumOf(right, this.#scratchFor(depth, target.length), range, depth + 1);
    addInto(target, leftSum, rightSum);
    return target;
  }

  #scratchFor(depth: number, length: number): Float32Array {
    const scratch = (this.#scratch[depth] ??= new Float32Array(pieceLength));
    return scratch.subarray(0, length);
  }
}
