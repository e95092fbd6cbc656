import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { OptimizerSpec } from "@lockstep/spec";
import { parametersSha256, stateDigest } from "./digest.js";
import { initialState } from "./initialise.js";
import { layoutOf } from "./layout.js";
import { buildNetwork } from "./network.js";
import { packState, packedStateBytes, unpackState } from "./state-bytes.js";
import type { TrainingState } from "./training-state.js";
import { applyUpdate } from "./update.js";

const adam: OptimizerSpec = {
  name: "adamw",
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
};
const network = buildNetwork(
  { architecture: "small-cnn", parameters: { width: 4 } },
  { channels: 1, height: 8, width: 8 },
  3,
);
const layout = layoutOf(network);

function trainedState(): TrainingState {
  const state = initialState(network, layout, adam, 5);
  const sums = Float32Array.from({ length: layout.parameterCount + layout.statisticCount }, (_, i) => (i % 7) - 3);
  for (let step = 0; step < 3; step++) applyUpdate(state, { sums, samples: 4, microBatches: 2 }, layout, adam);
  state.chain = 0xfedcba9876543210n;
  return state;
}

test("a state survives the journey, in memory of its own and from any alignment", () => {
  const state = trainedState();
  const packed = packState(state);
  assert.equal(packed.length, packedStateBytes(layout, adam));
  const received = new Uint8Array(packed.length + 3);
  received.set(packed, 3);
  const copy = unpackState(received.subarray(3), layout, adam, "worker 2");
  assert.deepEqual(copy, state);
  assert.equal(stateDigest(copy), stateDigest(state));

  const sums = new Float32Array(layout.parameterCount + layout.statisticCount).fill(1);
  applyUpdate(state, { sums, samples: 1, microBatches: 1 }, layout, adam);
  assert.deepEqual(packState(copy), packed);
  assert.notDeepEqual(copy, state);
  applyUpdate(copy, { sums, samples: 1, microBatches: 1 }, layout, adam);
  assert.deepEqual(copy, state);
});

test("the digest covers everything that the next step depends on", () => {
  const digests = new Set([stateDigest(trainedState())]);
  const changes: ((state: TrainingState) => void)[] = [
    (state) => (state.position += 1),
    (state) => (state.updates += 1),
    (state) => (state.chain += 1n),
    (state) => (state.parameters[0] = 9),
    (state) => (state.statistics[layout.statisticCount - 1] = 9),
    (state) => ((state.slots[1] as Float32Array)[3] = 9),
    (state) => (state.scalars[1] = 0.5),
  ];
  for (const change of changes) {
    const state = trainedState();
    change(state);
    digests.add(stateDigest(state));
  }
  assert.equal(digests.size, 1 + changes.length);
});

test("parametersSha256 is the hash of parameters, then statistics, as little-endian float32", () => {
  const bytes = Buffer.alloc(12);
  bytes.writeFloatLE(1, 0);
  bytes.writeFloatLE(-2.5, 4);
  bytes.writeFloatLE(0.1, 8);
  assert.equal(
    parametersSha256({ parameters: Float32Array.of(1, -2.5), statistics: Float32Array.of(0.1) }),
    createHash("sha256").update(bytes).digest("hex"),
  );
});

test("bytes that are not a state of this network and optimiser are refused", () => {
  const packed = packState(trainedState());
  const unpack = (bytes: Uint8Array) => () => unpackState(bytes, layout, adam, "worker 2");
  const changed = (offset: number, byte: number) =>
    Uint8Array.from(packed, (old, index) => (index === offset ? byte : old));
  assert.throws(
    unpack(packed.subarray(1)),
    /^InputError: worker 2: found a training state of \d+ bytes; allowed: \d+ bytes/,
  );
  assert.throws(unpack(changed(0, 0)), /not a training state/);
  assert.throws(unpack(changed(8 + 7, 0xc0)), /not a training state/); // a negative position
  assert.throws(unpack(changed(32, packed[32] === 1 ? 2 : 1)), /not a training state/);
});
