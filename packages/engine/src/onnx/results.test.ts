import assert from "node:assert/strict";
import { test } from "node:test";
import { isFiniteVector, judgeLogits, sumLosses } from "./results.js";

test("a single infinite or undefined element is found wherever it stands", () => {
  for (const length of [1, 3, 4, 5, 8, 1001]) {
    const vector = Float32Array.from({ length }, (_, i) => (i % 2 === 0 ? 3.4e38 : -1e-45));
    assert.equal(isFiniteVector(vector), true);
    for (const at of [0, Math.floor(length / 2), length - 1]) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        assert.equal(isFiniteVector(vector.with(at, bad)), false, `${bad} at ${at} of ${length}`);
      }
    }
  }
});

test("the first of equal logits is the prediction, also against a later label", () => {
  const logits = Float32Array.of(1, 2, 2, /**/ 0, 0, 0, /**/ -3, -2, -1);
  const predicted = new Int32Array(3);
  assert.equal(judgeLogits(logits, Int32Array.of(2, 0, 2), predicted), 2);
  assert.deepEqual([...predicted], [1, 0, 2]);
});

test("losses are added in float64", () => {
  assert.equal(sumLosses(new Float32Array(3).fill(0.1)), 3 * Math.fround(0.1));
  assert.equal(sumLosses(Float32Array.of(16777216, 1, 1)), 16777218);
});
