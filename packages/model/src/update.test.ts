import assert from "node:assert/strict";
import { test } from "node:test";
import type { OptimizerSpec } from "@lockstep/spec";
import { initialState } from "./initialise.js";
import { layoutOf } from "./layout.js";
import { buildNetwork } from "./network.js";
import { applyEvaluation, applyUpdate } from "./update.js";

const plainSgd: OptimizerSpec = { name: "sgd", learningRate: 0.5, momentum: 0, nesterov: false, weightDecay: 0 };
const network = buildNetwork(
  {
    layers: [
      { type: "batch-norm", name: "bn1", momentum: 0.25 },
      { type: "global-average-pool" },
      { type: "dense", name: "fc", units: 2 },
    ],
  },
  { channels: 1, height: 2, width: 2 },
  2,
);
const layout = layoutOf(network);

test("an update steps by the mean gradient and moves running statistics by the mean over micro-batches", () => {
  const state = initialState(network, layout, plainSgd, 1);
  const before = state.parameters.slice();
  assert.equal(layout.parameterCount, 6);
  // Gradient sums of 8 samples; then batch mean and unbiased batch variance, summed over 2 micro-batches.
  const sums = Float32Array.of(8, -8, 16, 0, 4, -4, 6, 10);
  applyUpdate(state, { sums, samples: 8, microBatches: 2 }, layout, plainSgd);
  const expected = [1, -1, 2, 0, 0.5, -0.5].map((mean, index) => Math.fround((before[index] as number) - 0.5 * mean));
  assert.deepEqual([...state.parameters], expected);
  // 0.75 * 0 + 0.25 * 3 and 0.75 * 1 + 0.25 * 5
  assert.deepEqual([...state.statistics], [0.75, 2]);
  assert.deepEqual([state.position, state.updates], [1, 1]);
});

test("an evaluation moves the position and nothing else", () => {
  const state = initialState(network, layout, plainSgd, 1);
  const before = structuredClone(state);
  applyEvaluation(state);
  assert.deepEqual(state, { ...before, position: 1 });
});

test("momentum starts at the first update, not at the first position", () => {
  const optimizer: OptimizerSpec = { ...plainSgd, momentum: 0.9 };
  const state = initialState(network, layout, optimizer, 1);
  applyEvaluation(state);
  const sums = Float32Array.of(1, 1, 1, 1, 1, 1, 0, 1);
  applyUpdate(state, { sums, samples: 1, microBatches: 1 }, layout, optimizer);
  assert.deepEqual([...(state.slots[0] as Float32Array)], [1, 1, 1, 1, 1, 1]);
  applyUpdate(state, { sums, samples: 1, microBatches: 1 }, layout, optimizer);
  assert.deepEqual(
    [...(state.slots[0] as Float32Array)],
    Array.from({ length: 6 }, () => Math.fround(1.9)),
  );
});

test("a reduced vector that does not fit is refused before anything changes", () => {
  const state = initialState(network, layout, plainSgd, 1);
  const before = structuredClone(state);
  const adam: OptimizerSpec = {
    name: "adam",
    learningRate: 1,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
  };
  const sums = new Float32Array(8).fill(1);
  const tooShort = sums.subarray(1);
  assert.throws(
    () => applyUpdate(state, { sums: tooShort, samples: 1, microBatches: 1 }, layout, plainSgd),
    /7 values, the layout 8/,
  );
  assert.throws(() => applyUpdate(state, { sums, samples: 0, microBatches: 1 }, layout, plainSgd), /0 samples/);
  assert.throws(() => applyUpdate(state, { sums, samples: 1, microBatches: 1 }, layout, adam), /another optimiser/);
  assert.deepEqual(state, before);
});
