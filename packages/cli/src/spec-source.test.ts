import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import type { JobSpec } from "@lockstep/spec";
import { readArguments } from "./arguments.js";
import { specFlags, type Flag } from "./flags.js";
import { readSpec } from "./spec-source.js";

const folder = await mkdtemp(join(tmpdir(), "lockstep-"));
after(() => rm(folder, { recursive: true }));

const specFlag: Flag = { group: "Run", name: "spec", value: "FILE", meaning: "" };
const specOf = async (...words: string[]) =>
  (await readSpec("train", readArguments("train", words, [...specFlags, specFlag]))).spec;

const cases: readonly [words: string, field: (spec: JobSpec) => unknown, expected: unknown][] = [
  ["photos", (spec) => spec.dataset.path, resolve("photos")],
  ["photos --image-size 48", (spec) => spec.dataset.imageSize, { height: 48, width: 48 }],
  ["photos --image-size=48x64", (spec) => spec.dataset.imageSize, { height: 48, width: 64 }],
  ["photos --channels 1", (spec) => spec.dataset.channels, 1],
  ["photos --split 0.7/0.2/0.1", (spec) => spec.dataset.split, { train: 0.7, validation: 0.2, test: 0.1, seed: 0 }],
  ["photos --split 0.9/0.1", (spec) => spec.dataset.split, { train: 0.9, validation: 0.1, test: 0, seed: 0 }],
  ["photos --split-seed 3", (spec) => spec.dataset.split.seed, 3],
  ["photos --resize stretch", (spec) => spec.preprocess.resize, "stretch"],
  ["photos --normalize none", (spec) => spec.preprocess.normalize, "none"],
  [
    "photos --normalize .1,.2,.3/.4,.5,.6",
    (spec) => spec.preprocess.normalize,
    { mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] },
  ],
  ["photos --augment flip,crop=6", (spec) => spec.augmentation, { horizontalFlip: 0.5, randomCropPadding: 6 }],
  ["photos --augment flip=0.2", (spec) => spec.augmentation, { horizontalFlip: 0.2, randomCropPadding: 0 }],
  [
    "photos --model small-cnn:width=24",
    (spec) => spec.model,
    { architecture: "small-cnn", parameters: { width: 24, dropout: 0 } },
  ],
  [
    "photos --epochs 3 --batch-size 50 --micro-batches 5",
    (spec) => spec.training,
    { epochs: 3, batchSize: 50, microBatches: 5 },
  ],
  ["photos --lr 1e-2", (spec) => spec.optimizer.learningRate, 0.01],
  [
    "photos --optimizer sgd --momentum 0.8 --nesterov --weight-decay 1e-4",
    (spec) => spec.optimizer,
    { name: "sgd", learningRate: 0.01, momentum: 0.8, nesterov: true, weightDecay: 0.0001 },
  ],
  ["photos --seed 9 --name trial", (spec) => [spec.seed, spec.name], [9, "trial"]],
  ["photos --seed 1 --seed 2", (spec) => spec.seed, 2],
  [
    "photos --workers 2 --data-shards 3 --threads 4 --cache-mib 64",
    (spec) => spec.cluster,
    { workers: 2, dataShards: 3, threads: 4, cacheMiB: 64 },
  ],
];

for (const [words, field, expected] of cases) {
  test(`lockstep train ${words}`, async () => assert.deepEqual(field(await specOf(...words.split(" "))), expected));
}

test("flags are laid over the spec file, whose dataset stands beside it", async () => {
  const file = join(folder, "job.yaml");
  await writeFile(file, "dataset: photos\noptimizer: sgd\nseed: 4\ntraining: {epochs: 9, batchSize: 64}\n");
  const spec = await specOf("--spec", file, "--epochs", "2", "--lr", "0.5", "--split-seed", "7");
  assert.equal(spec.dataset.path, join(folder, "photos"));
  assert.equal(spec.dataset.split.seed, 7);
  assert.deepEqual([spec.seed, spec.optimizer.name, spec.optimizer.learningRate], [4, "sgd", 0.5]);
  assert.deepEqual(spec.training, { epochs: 2, batchSize: 64, microBatches: "auto" });
});

test("a dataset on the command line replaces the spec file's, and starts at the working folder", async () => {
  const file = join(folder, "other.json");
  await writeFile(file, '{"dataset": {"path": "photos", "imageSize": 32}}');
  const spec = await specOf("pictures", "--spec", file);
  assert.equal(spec.dataset.path, resolve("pictures"));
  assert.deepEqual(spec.dataset.imageSize, { height: 32, width: 32 });
});

test("an error about a field of the file names the file, one about a flag names the flag", async () => {
  const file = join(folder, "bad.yaml");
  await writeFile(file, "dataset: photos\ntraining: {epochs: 0}\n");
  await assert.rejects(specOf("--spec", file), /^InputError: bad\.yaml: training\.epochs: found 0;/);
  await assert.rejects(specOf("--spec", file, "--epochs", "-1"), /^InputError: --epochs: found -1;/);
});
