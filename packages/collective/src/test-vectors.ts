/** For tests: values whose sum depends on the order of additions, and the sum in the tree's order by plain recursion. */

/** A small linear congruential generator: the same draws on every machine. */
export function draws(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Vectors of widely differing magnitudes, so that a wrong bracket changes bits. */
export function leafVectors(microBatches: number, length: number, seed: number): Float32Array[] {
  const draw = draws(seed);
  return Array.from({ length: microBatches }, () =>
    Float32Array.from({ length }, () => (draw() - 0.5) * (1 << (Math.floor(draw() * 12) * 2))),
  );
}

export function leafCounts(microBatches: number, length: number, seed: number): BigUint64Array[] {
  const draw = draws(seed ^ 0x5bd1e995);
  const word = () => BigInt(Math.floor(draw() * 2 ** 32));
  return Array.from({ length: microBatches }, () => BigUint64Array.from({ length }, () => (word() << 32n) | word()));
}

/** Written apart from the code under test: pads to a power of two and sums pairs, level by level. */
export function treeSum(leaves: readonly Float32Array[]): Float32Array {
  let level: (Float32Array | undefined)[] = [...leaves];
  while (level.length & (level.length - 1)) level.push(undefined);
  while (level.length > 1) {
    const next: (Float32Array | undefined)[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at], level[at + 1]];
      next.push(left && right ? left.map((value, i) => Math.fround(value + (right[i] ?? 0))) : left);
    }
    level = next;
  }
  return level[0] ?? new Float32Array(0);
}

export function countSum(leaves: readonly BigUint64Array[]): bigint[] {
  const total = (at: number) => leaves.reduce((sum, counts) => BigInt.asUintN(64, sum + (counts[at] ?? 0n)), 0n);
  return Array.from({ length: leaves[0]?.length ?? 0 }, (_, at) => total(at));
}

export function bits(vector: Float32Array): Uint32Array {
  return new Uint32Array(vector.buffer, vector.byteOffset, vector.length);
}

/** Cuts [0, microBatches) at random into runs and deals them to members; some may get none, some several. */
export function randomRuns(members: number, microBatches: number, draw: () => number) {
  const runs: { first: number; end: number }[][] = Array.from({ length: members }, () => []);
  for (let first = 0; first < microBatches;) {
    const end = Math.min(microBatches, first + 1 + Math.floor(draw() * 3));
    runs[Math.floor(draw() * members)]?.push({ first, end });
    first = end;
  }
  return runs;
}
