import assert from "node:assert/strict";
import { test } from "node:test";
import { SampleHashSum } from "@lockstep/random";
import { totalsOf, trainingCounts } from "./counts.js";
import { evaluationCounts } from "./evaluate.js";

const batch = {
  position: 7,
  microBatch: 1,
  samples: 3,
  pixels: new Uint8Array(3),
  labels: Int32Array.of(0, 1, 1),
  indices: Uint32Array.of(40, 2, 11),
};

test("the loss is counted in units of 2^-32, negative sums included", () => {
  for (const loss of [1.5, -0.25, 0, 2 ** -32]) {
    const totals = totalsOf(trainingCounts(batch, { loss, correct: 2, finite: true }, 0, 0));
    assert.equal(Number(totals.loss) / 2 ** 32, loss);
    assert.deepEqual([totals.samples, totals.correct, totals.notFinite], [3, 2, 0]);
  }
});

test("a micro-batch that is not finite, or too large for the field, adds no loss and is counted", () => {
  const results = [
    { loss: Number.NaN, correct: 0, finite: false },
    { loss: 1, correct: 0, finite: false },
    { loss: 2 ** 31, correct: 0, finite: true },
  ];
  for (const result of results) {
    const totals = totalsOf(trainingCounts(batch, result, 0, 0));
    assert.deepEqual([totals.loss, totals.notFinite], [0n, 1]);
  }
});

test("the sample hash is that of (epoch, place in the order, sample index)", () => {
  const expected = new SampleHashSum();
  expected.add(4, 16, 40);
  expected.add(4, 17, 2);
  expected.add(4, 18, 11);
  const counts = trainingCounts(batch, { loss: 0, correct: 0, finite: true }, 4, 16);
  assert.equal(totalsOf(counts).sampleHash, expected.value);
});

test("the confusion matrix has a row for each true class", () => {
  const result = { loss: 0, correct: 2, finite: true, predicted: Int32Array.of(0, 1, 0) };
  const { confusion } = totalsOf(evaluationCounts(batch, result, 0, 0, 2));
  assert.deepEqual(confusion, [1n, 0n, 1n, 1n]);
});
