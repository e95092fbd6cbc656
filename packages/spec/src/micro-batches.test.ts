import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultMicroBatches, InputError, microBatchSamples, resolveMicroBatches } from "./index.js";
import { checkMicroBatches } from "./micro-batches.js";

test("micro-batches default to batchSize/16 rounded down to a power of two, 1 to 8", () => {
  const expected = [
    [1, 1],
    [16, 1],
    [31, 1],
    [32, 2],
    [50, 2],
    [63, 2],
    [64, 4],
    [127, 4],
    [128, 8],
    [4096, 8],
  ] as const;
  for (const [batchSize, microBatches] of expected) assert.equal(defaultMicroBatches(batchSize), microBatches);
});

test("a number given in the spec is taken as it is", () => {
  assert.equal(resolveMicroBatches({ epochs: 1, batchSize: 128, microBatches: 5 }), 5);
  assert.equal(resolveMicroBatches({ epochs: 1, batchSize: 128, microBatches: "auto" }), 8);
});

test("accepted cuts have no empty micro-batch and cover the batch; refused ones would have one", () => {
  for (let batchSize = 1; batchSize <= 70; batchSize++) {
    for (let microBatches = 1; microBatches <= 80; microBatches++) {
      const samples = microBatchSamples(batchSize, microBatches);
      const lastIsFilled = (microBatches - 1) * samples < batchSize;
      const check = () => checkMicroBatches({ epochs: 1, batchSize, microBatches }, "x");
      if (lastIsFilled) check();
      else assert.throws(check, InputError);
    }
  }
});

test("the default cut is always accepted", () => {
  for (let batchSize = 1; batchSize <= 5000; batchSize++) {
    checkMicroBatches({ epochs: 1, batchSize, microBatches: "auto" }, "x");
  }
});
