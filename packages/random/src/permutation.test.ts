import assert from "node:assert/strict";
import { test } from "node:test";
import { orderDraws } from "./keys.js";
import { permutation } from "./permutation.js";

test("a permutation holds every index once", () => {
  for (const n of [0, 1, 2, 1000]) {
    const order = permutation(n, orderDraws(1, 2));
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      Array.from({ length: n }, (_, i) => i),
    );
  }
});

test("the 24 permutations of 4 are equally likely", () => {
  const trials = 24_000;
  const counts = new Map<string, number>();
  for (let epoch = 0; epoch < trials; epoch++) {
    const order = permutation(4, orderDraws(9, epoch)).join();
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(counts.size, 24);
  let chiSquare = 0;
  for (const count of counts.values()) chiSquare += (count - 1000) ** 2 / 1000;
  // 23 degrees of freedom: 99.9% of all keys stay below 49.7, and a broken shuffle (j drawn below n) gives over 1,000.
  assert.ok(chiSquare < 49.7, `chi-square ${chiSquare}`);
});
