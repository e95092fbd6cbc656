/**
 * Which micro-batches each member computes. A run is contiguous; a member sends one partial sum for each maximal subtree of
 * the reduction tree inside its run, so the boundaries decide the traffic: (N-1)/N x vector x (partials + 1) a member.
 *
 * The tree over [0, M) is binary over the next power of two; leaves from M on do not exist and are passed through. For
 * M = 6: ((0 1)(2 3)) with (4 5), so the run [4, 6) is one subtree, and [2, 6) is two: [2, 4) and [4, 6).
 */
import type { Range } from "./position.js";

/** A half-open range of micro-batches. */
export type Run = Range;

/** The maximal subtrees inside `run` of the tree over [0, microBatches), in order. Ends are cut to microBatches. */
export function maximalSubtrees(run: Run, microBatches: number): Run[] {
  const subtrees: Run[] = [];
  let first = run.first;
  const end = Math.min(run.end, microBatches);
  while (first < end) {
    const width = subtreeWidth(first, end, microBatches);
    const subtreeEnd = Math.min(first + width, microBatches);
    subtrees.push({ first, end: subtreeEnd });
    first = subtreeEnd;
  }
  return subtrees;
}

/** Width, absent leaves counted, of the largest subtree that begins at `first` and has no leaf in [end, microBatches). */
function subtreeWidth(first: number, end: number, microBatches: number): number {
  let width = 1;
  for (;;) {
    const wider = width * 2;
    const aligned = first % wider === 0;
    // The root covers everything: nothing is wider than the tree.
    if (!aligned || width >= microBatches || Math.min(first + wider, microBatches) > end) return width;
    width = wider;
  }
}

/**
 * Deals M micro-batches to N members in rank order by search: the largest share as small as it can be (that is the step's
 * time), then the fewest partials in all, then the smaller shares at the lower ranks. Every member gets at least one.
 * Dynamic programming over (members left, first micro-batch left), at most M^2 steps.
 * @throws when there are more members than micro-batches.
 */
export function dealRuns(microBatches: number, members: number): Run[] {
  if (members < 1 || members > microBatches) {
    throw new Error(`${microBatches} micro-batches cannot be dealt to ${members} members, one at least to each.`);
  }
  const shareMax = Math.ceil(microBatches / members);
  const width = microBatches + 1;
  // fewest[left * width + first]: partials of the best deal of [first, M) to `left` members.
  const fewest = new Float64Array((members + 1) * width).fill(Infinity);
  fewest[microBatches] = 0;
  const shareOf = new Uint32Array((members + 1) * width);
  for (let left = 1; left <= members; left++) {
    for (let first = 0; first < microBatches; first++) {
      for (let share = 1; share <= shareMax && first + share <= microBatches; share++) {
        const rest = fewest[(left - 1) * width + first + share] as number;
        if (rest === Infinity) continue;
        const partials = rest + maximalSubtrees({ first, end: first + share }, microBatches).length;
        if (partials >= (fewest[left * width + first] as number)) continue;
        fewest[left * width + first] = partials;
        shareOf[left * width + first] = share;
      }
    }
  }
  const runs: Run[] = [];
  let first = 0;
  for (let left = members; left > 0; left--) {
    const end = first + (shareOf[left * width + first] as number);
    runs.push({ first, end });
    first = end;
  }
  return runs;
}
