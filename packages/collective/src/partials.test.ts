import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PartialSums } from "./partials.js";
import { bits, countSum, draws, leafCounts, leafVectors, treeSum } from "./test-vectors.js";
import { VectorPool } from "./vector-pool.js";

const length = 17;
const countsLength = 3;

function shuffled(count: number, seed: number): number[] {
  const draw = draws(seed);
  return Array.from({ length: count }, (_, at) => ({ at, key: draw() }))
    .sort((a, b) => a.key - b.key)
    .map(({ at }) => at);
}

describe("partial sums", () => {
  for (let microBatches = 1; microBatches <= 20; microBatches++) {
    test(`of all ${microBatches} micro-batches, added in any order, are the root of the tree`, () => {
      const vectors = leafVectors(microBatches, length, microBatches);
      const counts = leafCounts(microBatches, countsLength, microBatches);
      for (let seed = 0; seed < 5; seed++) {
        const runs = [{ first: 0, end: microBatches }];
        const partials = new PartialSums({ position: 1, microBatches, runs, vectorLength: length, countsLength });
        const scratch = new Float32Array(length);
        for (const leaf of shuffled(microBatches, seed)) {
          scratch.set(vectors[leaf] ?? []);
          partials.add(leaf, scratch, counts[leaf] ?? new BigUint64Array(0));
          scratch.fill(NaN); // the caller's buffer is its own again
        }
        const [root, ...rest] = partials.finished();
        assert.equal(rest.length, 0);
        assert.deepEqual(bits(root?.vector ?? new Float32Array(0)), bits(treeSum(vectors)));
        assert.deepEqual([...(root?.counts ?? [])], countSum(counts));
      }
    });
  }

  test("a micro-batch added again changes nothing, early or late", () => {
    const vectors = leafVectors(4, length, 1);
    const counts = leafCounts(4, countsLength, 1);
    const partials = new PartialSums({
      position: 1,
      microBatches: 4,
      runs: [{ first: 0, end: 4 }],
      vectorLength: length,
      countsLength,
    });
    for (const leaf of [0, 0, 1, 0, 1, 3, 3, 2, 0, 1, 2, 3]) {
      partials.add(leaf, vectors[leaf] ?? new Float32Array(0), counts[leaf] ?? new BigUint64Array(0));
    }
    const [root] = partials.finished();
    assert.deepEqual(bits(root?.vector ?? new Float32Array(0)), bits(treeSum(vectors)));
    assert.deepEqual([...(root?.counts ?? [])], countSum(counts));
  });

  test("a leaf that stands alone keeps its bits: minus zero is not added to zero", () => {
    const partials = new PartialSums({
      position: 1,
      microBatches: 3,
      runs: [{ first: 2, end: 3 }],
      vectorLength: 1,
      countsLength: 0,
    });
    partials.add(2, Float32Array.of(-0), new BigUint64Array(0));
    assert.ok(Object.is(partials.finished()[0]?.vector[0], -0));
  });

  test("are not finished while a micro-batch is missing, and take none of others", () => {
    const partials = new PartialSums({
      position: 1,
      microBatches: 4,
      runs: [{ first: 0, end: 2 }],
      vectorLength: 1,
      countsLength: 0,
    });
    const none = new BigUint64Array(0);
    partials.add(1, Float32Array.of(1), none);
    assert.equal(partials.complete, false);
    assert.throws(() => partials.finished(), /\[0, 2\) is not finished/);
    assert.throws(() => partials.add(2, Float32Array.of(1), none), /micro-batch 2 is not of this worker's runs/);
    assert.throws(() => partials.add(0, Float32Array.of(1, 2), none), /2 values and 0 counts/);
  });

  test("of later positions reuse the vectors of earlier ones", () => {
    const pool = new VectorPool();
    const vector = new Float32Array(length);
    const counts = new BigUint64Array(0);
    const sizes: number[] = [];
    for (let position = 1; position <= 4; position++) {
      const runs = [{ first: 1, end: 8 }];
      const partials = new PartialSums({
        position,
        microBatches: 8,
        runs,
        vectorLength: length,
        countsLength: 0,
        pool,
      });
      for (const leaf of [3, 1, 7, 5, 2, 6, 4]) partials.add(leaf, vector, counts);
      partials.release();
      sizes.push(pool.allocatedBytes);
    }
    assert.deepEqual(new Set(sizes.slice(1)).size, 1);
    assert.equal(sizes[0], sizes[3]);
  });
});
