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
 * power of two below its size. A worker that owns runs of micro-batches sends the sums of the maximal subtrees inside
 * them: one for an aligned run of 2^k, at most 2 log2(M) for any run. Invariant: the value of a node is the same bits on
 * every worker, and the root is computed only from nodes that tile [0, M) once.
 */
import type { Range } from "./position.js";

/** A half-open range of micro-batches: what a member computes, or the leaves below a node of the tree. */
export type Run = Range;

/** The two children of a node of two or more leaves, left first. */
export function childrenOf(node: Run): readonly [Run, Run] {
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
 * The maximal subtrees inside the runs, taken together, in tree order: what their owner can sum alone.
 * @throws Error when runs overlap or leave [0, microBatches).
 */
export function maximalSubtrees(runs: readonly Run[], microBatches: number): Run[] {
  const subtrees: Run[] = [];
  for (const run of joined(runs, microBatches)) collect({ first: 0, end: microBatches }, run, subtrees);
  return subtrees;
}

function collect(node: Run, run: Run, subtrees: Run[]): void {
  if (run.end <= node.first || node.end <= run.first) return;
  if (run.first <= node.first && node.end <= run.end) {
    subtrees.push(node);
    return;
  }
  const [left, right] = childrenOf(node);
  collect(left, run, subtrees);
  collect(right, run, subtrees);
}

/** The same micro-batches in as few runs as there can be, in order. */
function joined(runs: readonly Run[], microBatches: number): Run[] {
  const result: Run[] = [];
  for (const run of runs.toSorted((a, b) => a.first - b.first)) {
    if (run.first >= run.end) continue;
    const before = result.at(-1);
    if (before !== undefined && run.first < before.end) throw new Error(`micro-batch ${run.first} is in two runs`);
    if (run.end > microBatches) {
      const missing = Math.max(run.first, microBatches);
      throw new Error(`micro-batch ${missing} does not exist (there are ${microBatches})`);
    }
    if (before?.end === run.first) result[result.length - 1] = { first: before.first, end: run.end };
    else result.push(run);
  }
  return result;
}

/**
 * Checks that nodes of the tree, in any order, tile [0, microBatches) exactly once.
 * @throws Error saying which micro-batch is missing or there twice.
 */
export function assertTiling(nodes: readonly Run[], microBatches: number): void {
  const sorted = nodes.toSorted((a, b) => a.first - b.first);
  let next = 0;
  for (const node of sorted) {
    if (node.first > next) throw new Error(`no one computes micro-batch ${next} of ${microBatches}`);
    if (node.first < next) throw new Error(`micro-batch ${node.first} of ${microBatches} is computed twice`);
    next = node.end;
  }
  if (next !== microBatches) throw new Error(`the runs cover micro-batches [0, ${next}) of [0, ${microBatches})`);
}
