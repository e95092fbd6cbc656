import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { ResolvedJobSpec } from "@lockstep/spec";
import {
  type CheckpointManifest,
  decodeCheckpoint,
  encodeCheckpoint,
  parseManifest,
  readCheckpoint,
  writeCheckpoint,
  writeFileAtomic,
} from "./checkpoint.js";
import { parametersSha256, sha256 } from "./digest.js";
import { initialState } from "./initialise.js";
import { layoutOf } from "./layout.js";
import { buildNetwork } from "./network.js";
import { decodeSafetensors, encodeSafetensors, float32Values } from "./safetensors.js";
import { applyUpdate } from "./update.js";

const spec: ResolvedJobSpec = {
  name: "digits",
  seed: 7,
  dataset: {
    path: "/data/digits",
    format: "folder",
    imageSize: { height: 8, width: 8 },
    channels: 1,
    split: { train: 0.8, validation: 0.1, test: 0.1, seed: 0 },
  },
  preprocess: { resize: "crop", normalize: { mean: [0.5], std: [0.25] } },
  augmentation: { horizontalFlip: 0, randomCropPadding: 0 },
  model: { architecture: "small-cnn", parameters: { width: 4 } },
  optimizer: { name: "adam", learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  training: { epochs: 1, batchSize: 4, microBatches: 2 },
  engine: { name: "onnxruntime" },
  determinism: "strict",
  cluster: { workers: 1, dataShards: 1, threads: 0, cacheMiB: 16 },
};
const context = {
  spec,
  specHash: "a".repeat(64),
  datasetDigest: "b".repeat(64),
  classes: ["cat", "dog", "owl"],
  engineIdentity: "test engine 1",
  versions: { lockstep: "0.1.0" },
};
const network = buildNetwork(spec.model, { channels: 1, height: 8, width: 8 }, 3);
const layout = layoutOf(network);
const state = initialState(network, layout, spec.optimizer, spec.seed);
const sums = Float32Array.from({ length: layout.parameterCount + layout.statisticCount }, (_, i) => (i % 5) - 2);
for (let step = 0; step < 3; step++) applyUpdate(state, { sums, samples: 4, microBatches: 2 }, layout, spec.optimizer);
state.chain = 0x0123456789abcdefn;
const encoded = encodeCheckpoint(state, layout, context);

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "lockstep-checkpoint-"));
});
after(() => rm(folder, { recursive: true }));

test("a checkpoint gives back every bit of the state, and leaves no temporary file", async () => {
  const paths = await writeCheckpoint(folder, encoded);
  assert.deepEqual(paths, [join(folder, "checkpoint.safetensors"), join(folder, "checkpoint.json")]);
  assert.deepEqual((await readdir(folder)).sort(), ["checkpoint.json", "checkpoint.safetensors"]);
  assert.deepEqual(decodeCheckpoint(await readCheckpoint(folder), layout, folder), state);
});

test("the tensors stand under torchvision's names, the optimiser's beside them", () => {
  const file = decodeSafetensors(encoded.tensors, "test");
  const names = [...file.tensors.keys()];
  for (const name of [
    "conv1.weight",
    "bn1.running_var",
    "optimizer.exp_avg.conv1.weight",
    "optimizer.exp_avg_sq.fc.bias",
  ]) {
    assert.ok(names.includes(name), name);
  }
  assert.equal(names.length, 3 * layout.parameters.length + layout.statistics.length);
  const bias = layout.parameters.find((entry) => entry.name === "conv2.bias");
  const stored = file.tensors.get("optimizer.exp_avg.conv2.bias");
  assert.ok(bias && stored);
  assert.deepEqual(float32Values(stored, "test"), state.slots[0]?.slice(bias.offset, bias.offset + bias.length));
});

test("the manifest names spec, position, digests and identity, and repeats itself byte for byte", () => {
  const manifest = parseManifest(encoded.manifest, "runs/digits");
  assert.deepEqual(manifest.spec, spec);
  assert.deepEqual([manifest.position, manifest.updates, manifest.chain], [3, 3, "0123456789abcdef"]);
  assert.equal(manifest.parametersSha256, parametersSha256(state));
  assert.equal(manifest.tensors.sha256, sha256([encoded.tensors]));
  assert.equal(manifest.engineIdentity, "test engine 1");
  assert.deepEqual(Object.keys(manifest.optimizerScalars), ["beta1_power", "beta2_power"]);
  assert.deepEqual(encodeCheckpoint(state, layout, context), encoded);
});

test("one changed bit in the tensors is refused", () => {
  const tensors = encoded.tensors.slice();
  tensors[tensors.length - 1] = (tensors[tensors.length - 1] as number) ^ 1;
  assert.throws(
    () => decodeCheckpoint({ ...encoded, tensors }, layout, "runs/digits"),
    /^InputError: runs.digits.checkpoint.safetensors: found SHA-256 [0-9a-f]{64}; allowed: [0-9a-f]{64}, as checkpoint.json/,
  );
});

function withManifest(change: Partial<CheckpointManifest>) {
  const manifest = { ...parseManifest(encoded.manifest, "test"), ...change };
  return { tensors: encoded.tensors, manifest: new TextEncoder().encode(JSON.stringify(manifest)) };
}

test("a changed position, scalar or chain in the manifest is refused", () => {
  const changes: Partial<CheckpointManifest>[] = [
    { position: 4 },
    { updates: 2 },
    { chain: "0123456789abcdee" },
    { optimizerScalars: { beta1_power: 0.5, beta2_power: 0.5 } },
    { optimizerScalars: {} },
  ];
  for (const change of changes) {
    assert.throws(
      () => decodeCheckpoint(withManifest(change), layout, "runs/digits"),
      /does not belong to the tensors/,
    );
  }
});

test("a manifest that is none is refused", () => {
  const parse = (text: string) => () => parseManifest(new TextEncoder().encode(text), "runs/digits");
  assert.throws(parse("{"), /checkpoint.json: found text that is not JSON/);
  assert.throws(parse("null"), /found format undefined/);
  assert.throws(parse('{"format":"lockstep-checkpoint","formatVersion":2}'), /found format "lockstep-checkpoint" 2/);
  assert.throws(parse('{"format":"lockstep-checkpoint","formatVersion":1}'), /parts missing/);
  assert.throws(
    () => decodeCheckpoint(withManifest({ chain: "xyz" }), layout, "runs/digits"),
    /a manifest with parts missing/,
  );
});

test("tensors of another network are refused by name and shape, even where the digests fit", () => {
  const tensors = encodeSafetensors([{ name: "conv1.weight", shape: [4, 1, 1, 9], values: new Float32Array(36) }], {});
  const { tensors: listed } = parseManifest(encoded.manifest, "test");
  const forged = withManifest({ tensors: { ...listed, sha256: sha256([tensors]) } });
  assert.throws(
    () => decodeCheckpoint({ ...forged, tensors }, layout, "runs/digits"),
    /tensor "conv1.weight": found shape \[4, 1, 1, 9\]; allowed: shape \[4, 1, 3, 3\]/,
  );
});

test("a file that cannot be put in place leaves neither its old content changed nor a temporary file", async () => {
  const path = join(folder, "metrics.txt");
  await writeFile(path, "old");
  await assert.rejects(writeFileAtomic(join(path, "inside-a-file"), Uint8Array.of(1)));
  // A folder stands where the file should go: the rename fails after the temporary file is written.
  const taken = await mkdtemp(join(folder, "taken-"));
  await writeFile(join(taken, "x"), "x");
  await assert.rejects(writeFileAtomic(taken, Uint8Array.of(1)));
  assert.equal(await readFile(path, "utf8"), "old");
  assert.ok((await readdir(folder)).every((name) => !name.endsWith(".tmp")));
});
