/**
 * The one order of summation. Floating-point addition is not associative, so the sum of M micro-batch gradients depends
 * on where the brackets stand; here they stand where this tree puts them, whoever computed which leaf and whatever came
 * first. For M = 8, and for M = 6 (leaves 6 and 7 do not exist: their sibling is passed through, never added to zero,
 * because -0 + 0 is +0):
 *
 *               [0,8)                              [0,6)
 *         [0,4)       [4,8)                  [0,4)       [4,6)
 *      [0,2) [2,4) [4,6) [6,8)            [0,2) [2,4)    4   5
 *      0  1  2  3  4  5  6  7             0  1  2  3
 *
 * A node is named by the micro-batches below it that exist, [first, end); the left child of a node covers the largest
 * power of two below its size. A worker that owns runs of micro-batches sends the sums of the maximal nodes inside them:
 * one for an aligned run of 2^k, at most 2 log2(M) for any run. Invariant: the value of a node is the same bits on every
 * worker, and the root is computed only from nodes that tile [0, M) once.
 */

/** A node, or a run: the half-open range of micro-batches that it covers. */
export interface MicroBatchRange {
  readonly first: number;
  readonly end: number;
}

/** The two children of a node of two or more leaves, left first. */
export function childrenOf(node: MicroBatchRange): readonly [MicroBatchRange, MicroBatchRange] {
  const middle = node.first + largestPowerOfTwoBelow(node.end - node.first);
  return [
    { first: node.first, end: middle },
    { first: middle, end: node.end },
  ];
}

function largestPowerOfTwoBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

/**
 * The maximal nodes inside the runs, in tree order: what their owner can sum alone.
 * @throws Error when runs overlap or leave [0, microBatches).
 */
export function maximalNodes(runs: readonly MicroBatchRange[], microBatches: number): MicroBatchRange[] {
  const owned = new Uint8Array(microBatches);
  for (const run of runs) {
    for (let leaf = run.first; leaf < run.end; leaf++) {
      if (owned[leaf] !== 0) {
        const fault = leaf < microBatches ? "is in two runs" : `does not exist (there are ${microBatches})`;
        throw new Error(`micro-batch ${leaf} ${fault}`);
      }
      owned[leaf] = 1;
    }
  }
  const nodes: MicroBatchRange[] = [];
  const collect = (node: MicroBatchRange): void => {
    const leaves = owned.subarray(node.first, node.end);
    if (!leaves.includes(1)) return;
    if (!leaves.includes(0)) {
      nodes.push(node);
      return;
    }
    const [left, right] = childrenOf(node);
    collect(left);
    collect(right);
  };
  if (microBatches > 0) collect({ first: 0, end: microBatches });
  return nodes;
}

/**
 * Checks that nodes, in any order, are nodes of the tree and tile [0, microBatches) exactly once.
 * @throws Error saying which micro-batch is missing or there twice.
 */
export function assertTiling(nodes: readonly MicroBatchRange[], microBatches: number): void {
  const sorted = nodes.toSorted((a, b) => a.first - b.first);
  let next = 0;
  for (const node of sorted) {
    if (node.first > next) throw new Error(`no one computes micro-batch ${next} of ${microBatches}`);
    if (node.first < next) throw new Error(`micro-batch ${node.first} of ${microBatches} is computed twice`);
    next = node.end;
  }
  if (next !== microBatches) throw new Error(`the runs cover micro-batches [0, ${next}) of [0, ${microBatches})`);
}
