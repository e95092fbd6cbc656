/**
 * Which micro-batches each member computes. A run is contiguous; a member sends one partial sum for each maximal subtree of
 * the reduction tree inside its run, so the boundaries decide the traffic: (N-1)/N x vector x (partials + 1) a member.
 */
import { maximalSubtrees, type Run } from "./reduction-tree.js";

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
  const partialsOf = partialsCounter(microBatches, shareMax);
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
        const partials = rest + partialsOf(first, share);
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

/** Partials of a run, each counted once: the search asks for the same run for every number of members left. */
function partialsCounter(microBatches: number, shareMax: number): (first: number, share: number) => number {
  const counted = new Uint16Array(microBatches * shareMax); // 0: not yet
  return (first, share) => {
    const place = first * shareMax + share - 1;
    if (counted[place] === 0) counted[place] = maximalSubtrees([{ first, end: first + share }], microBatches).length;
    return counted[place] as number;
  };
}
