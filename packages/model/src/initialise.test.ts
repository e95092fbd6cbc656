import assert from "node:assert/strict";
import { test } from "node:test";
import type { OptimizerSpec } from "@lockstep/spec";
import { initialState } from "./initialise.js";
import { layoutOf } from "./layout.js";
import { buildNetwork } from "./network.js";

const adam: OptimizerSpec = {
  name: "adam",
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
};
const network = buildNetwork({ architecture: "small-cnn", parameters: {} }, { channels: 3, height: 32, width: 32 }, 10);
const layout = layoutOf(network);

function tensors(seed: number): Map<string, Float32Array> {
  const state = initialState(network, layout, adam, seed);
  const found = new Map<string, Float32Array>();
  for (const { name, offset, length } of layout.parameters)
    found.set(name, state.parameters.subarray(offset, offset + length));
  for (const { name, offset, length } of layout.statistics)
    found.set(name, state.statistics.subarray(offset, offset + length));
  return found;
}

test("weights and biases are uniform within 1/sqrt(fan in), as PyTorch draws them", () => {
  const found = tensors(3);
  const fanIns = { conv1: 3 * 9, conv2: 16 * 9, conv3: 32 * 9, fc: 64 * 4 * 4 };
  for (const [layer, fanIn] of Object.entries(fanIns)) {
    const bound = 1 / Math.sqrt(fanIn);
    for (const suffix of ["weight", "bias"]) {
      const values = [...(found.get(`${layer}.${suffix}`) ?? [])];
      assert.ok(values.length >= 10);
      assert.ok(values.every((value) => Math.abs(value) <= bound * (1 + 2 ** -23)));
      assert.ok(new Set(values).size > values.length * 0.99);
    }
    const weights = [...(found.get(`${layer}.weight`) ?? [])];
    const mean = weights.reduce((sum, value) => sum + value, 0) / weights.length;
    const deviation = Math.sqrt(weights.reduce((sum, value) => sum + value * value, 0) / weights.length);
    // Uniform: standard deviation bound/sqrt(3). Its estimate from n values is off by about 0.45/sqrt(n), the mean's by 0.58/sqrt(n).
    const spread = 4 / Math.sqrt(weights.length);
    assert.ok(Math.abs(mean) / bound < 0.58 * spread, `${layer}: mean ${mean / bound} of the bound`);
    assert.ok(Math.abs((deviation / bound) * Math.sqrt(3) - 1) < 0.45 * spread, `${layer}: deviation ${deviation}`);
  }
});

test("batch-norm starts as the identity; the optimiser remembers nothing yet", () => {
  const found = tensors(3);
  const [ones, zeros] = [new Float32Array(16).fill(1), new Float32Array(16)];
  assert.deepEqual(found.get("bn1.weight"), ones);
  assert.deepEqual(found.get("bn1.bias"), zeros);
  assert.deepEqual(found.get("bn1.running_mean"), zeros);
  assert.deepEqual(found.get("bn1.running_var"), ones);
  const state = initialState(network, layout, adam, 3);
  assert.deepEqual([state.position, state.updates, state.chain], [0, 0, 0n]);
  assert.deepEqual(
    state.slots.map((slot) => [slot.length, slot.every((value) => value === 0)]),
    [
      [layout.parameterCount, true],
      [layout.parameterCount, true],
    ],
  );
  assert.deepEqual([...state.scalars], [1, 1]);
});

test("values are keyed by seed and name: another seed changes all, another layer changes none of the others", () => {
  const first = tensors(3);
  assert.deepEqual(tensors(3), first);
  const other = tensors(4);
  for (const name of ["conv1.weight", "conv1.bias", "fc.weight"]) assert.notDeepEqual(other.get(name), first.get(name));

  const shallower = buildNetwork(
    {
      layers: [
        { type: "conv2d", name: "conv1", filters: 16, kernel: 3, padding: 1 },
        { type: "global-average-pool" },
        { type: "dense", units: 10 },
      ],
    },
    { channels: 3, height: 32, width: 32 },
    10,
  );
  const shallowLayout = layoutOf(shallower);
  const state = initialState(shallower, shallowLayout, adam, 3);
  assert.deepEqual(state.parameters.subarray(0, 16 * 27), first.get("conv1.weight"));
});

test("parameters of one shape start with values of their own", () => {
  const dense = { type: "dense", units: 12 } as const;
  const twins = buildNetwork({ layers: [{ type: "flatten" }, dense, dense] }, { channels: 3, height: 2, width: 2 }, 12);
  const [first, , second] = layoutOf(twins).parameters;
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual(first.shape, second.shape);
  const { parameters } = initialState(twins, layoutOf(twins), adam, 3);
  const valuesOf = ({ offset, length }: typeof first) => parameters.subarray(offset, offset + length);
  assert.notDeepEqual(valuesOf(first), valuesOf(second));
});
