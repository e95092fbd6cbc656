import assert from "node:assert/strict";
import { test } from "node:test";
import { canonicalJson, parseJobSpec, type ResolvedJobSpec, specHash } from "./index.js";

const parsed = parseJobSpec({ dataset: "x" }, { origin: "test", baseFolder: "/base" });
const resolved: ResolvedJobSpec = {
  ...parsed,
  dataset: { ...parsed.dataset, format: "folder", imageSize: { height: 64, width: 64 }, channels: 3 },
  preprocess: { resize: "crop", normalize: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] } },
  training: { ...parsed.training, microBatches: 2 },
};
const { sha256 } = specHash(resolved);

test("name, cluster, the dataset's place and determinism do not change the hash", () => {
  const others: ResolvedJobSpec[] = [
    { ...resolved, name: "other" },
    { ...resolved, cluster: { workers: 2, dataShards: 3, threads: 8, cacheMiB: 1 } },
    { ...resolved, dataset: { ...resolved.dataset, path: "/elsewhere" } },
    { ...resolved, determinism: "relaxed" },
  ];
  for (const other of others) assert.equal(specHash(other).sha256, sha256);
});

test("everything that weights depend on changes the hash", () => {
  const others: ResolvedJobSpec[] = [
    { ...resolved, seed: 1 },
    { ...resolved, dataset: { ...resolved.dataset, imageSize: { height: 64, width: 65 } } },
    { ...resolved, preprocess: { ...resolved.preprocess, resize: "stretch" } },
    { ...resolved, augmentation: { ...resolved.augmentation, horizontalFlip: 0.5 } },
    { ...resolved, model: { architecture: "simple-cnn", parameters: {} } },
    { ...resolved, optimizer: { ...resolved.optimizer, learningRate: 0.002 } },
    { ...resolved, training: { ...resolved.training, microBatches: 4 } },
    { ...resolved, engine: { name: "tensorflow" } },
  ];
  const hashes = new Set([sha256, ...others.map((other) => specHash(other).sha256)]);
  assert.equal(hashes.size, others.length + 1);
});

test("the order of fields does not change the hash", () => {
  const reversed = Object.fromEntries(Object.entries(resolved).reverse()) as unknown as ResolvedJobSpec;
  assert.equal(specHash(reversed).sha256, sha256);
  assert.equal(canonicalJson({ b: [1, { d: 2, c: undefined }], a: "x" }), '{"a":"x","b":[1,{"d":2}]}');
});

test("the short hash is the long one's first 64 bits", () => {
  assert.equal(specHash(resolved).first64.toString(16).padStart(16, "0"), sha256.slice(0, 16));
});
