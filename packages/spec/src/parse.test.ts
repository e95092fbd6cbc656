import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError, type JobSpec, parseJobSpec } from "./index.js";

const options = { origin: "job.yaml", baseFolder: "/base" };
const parse = (input: string | object) => parseJobSpec(input, options);

/** What a spec says of its dataset, and the parsed spec's field to look at. */
const good: readonly [name: string, input: string | object, field: (spec: JobSpec) => unknown, expected: unknown][] = [
  ["the dataset's folder names the run", "dataset: photos/My Cats (1)", (spec) => spec.name, "my-cats-1"],
  ["a dataset path starts at the base folder", "dataset: photos", (spec) => spec.dataset.path, "/base/photos"],
  ["an absolute dataset path stays", "dataset: {path: /photos}", (spec) => spec.dataset.path, "/photos"],
  ["JSON is read", '{"dataset": {"path": "x"}, "seed": 7}', (spec) => spec.seed, 7],
  ["an object is read", { dataset: { path: "x", channels: 1 } }, (spec) => spec.dataset.channels, 1],
  ["a null field has its default", "dataset: x\nseed: null", (spec) => spec.seed, 0],
  [
    "one image side is both",
    "dataset: {path: x, imageSize: 48}",
    (spec) => spec.dataset.imageSize,
    { height: 48, width: 48 },
  ],
  [
    "HEIGHTxWIDTH is read",
    "dataset: {path: x, imageSize: 48x64}",
    (spec) => spec.dataset.imageSize,
    { height: 48, width: 64 },
  ],
  [
    "height and width are read",
    "dataset: {path: x, imageSize: {height: 48, width: 64}}",
    (spec) => spec.dataset.imageSize,
    { height: 48, width: 64 },
  ],
  [
    "splits default to 80/10/10",
    "dataset: x",
    (spec) => spec.dataset.split,
    { train: 0.8, validation: 0.1, test: 0.1, seed: 0 },
  ],
  [
    "shares may sum to 1 in decimal",
    "dataset: {path: x, split: {train: 0.7, validation: 0.2, test: 0.1}}",
    (spec) => spec.dataset.split.train,
    0.7,
  ],
  [
    "a model may be short",
    "dataset: x\nmodel: simple-cnn",
    (spec) => spec.model,
    { architecture: "simple-cnn", parameters: {} },
  ],
  [
    "a short model has parameters",
    'dataset: x\nmodel: "small-cnn:width=24,dropout=0.2"',
    (spec) => spec.model,
    { architecture: "small-cnn", parameters: { width: 24, dropout: 0.2 } },
  ],
  [
    "an architecture has every parameter",
    "dataset: x",
    (spec) => spec.model,
    { architecture: "small-cnn", parameters: { width: 16, dropout: 0 } },
  ],
  [
    "layers have every field and a name",
    "dataset: x\nmodel: {layers: [{type: conv2d, name: stem, filters: 8, kernel: 3, bias: false}, relu, {type: max-pool, kernel: 2}, {type: average-pool, kernel: 3, stride: 1, padding: 1}, batch-norm, {type: conv2d, filters: 4, kernel: 1}, {type: dense, inputs: [stem], units: 4}]}",
    (spec) => spec.model,
    {
      layers: [
        { type: "conv2d", name: "stem", filters: 8, kernel: 3, stride: 1, padding: 0, bias: false },
        { type: "relu", name: "relu1" },
        { type: "max-pool", name: "max-pool1", kernel: 2, stride: 2, padding: 0 },
        { type: "average-pool", name: "average-pool1", kernel: 3, stride: 1, padding: 1 },
        { type: "batch-norm", name: "batch-norm1", momentum: 0.1, epsilon: 1e-5 },
        { type: "conv2d", name: "conv2d2", filters: 4, kernel: 1, stride: 1, padding: 0, bias: true },
        { type: "dense", name: "dense1", units: 4, bias: true, inputs: ["stem"] },
      ],
    },
  ],
  [
    "Adam has PyTorch's defaults",
    "dataset: x",
    (spec) => spec.optimizer,
    { name: "adam", learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  ],
  ["AdamW decays weights", "dataset: x\noptimizer: adamw", (spec) => spec.optimizer.weightDecay, 0.01],
  [
    "SGD has momentum",
    "dataset: x\noptimizer: {name: sgd, learningRate: 1e-2, nesterov: true}",
    (spec) => spec.optimizer,
    { name: "sgd", learningRate: 0.01, momentum: 0.9, nesterov: true, weightDecay: 0 },
  ],
  [
    "a global batch that micro-batches do not divide is allowed",
    "dataset: x\ntraining: {batchSize: 50, microBatches: 5}",
    (spec) => spec.training.microBatches,
    5,
  ],
  [
    "values for normalisation are read",
    "dataset: {path: x, channels: 1}\npreprocess: {normalize: {mean: [0.13], std: [0.31]}}",
    (spec) => spec.preprocess.normalize,
    { mean: [0.13], std: [0.31] },
  ],
  [
    "an alias within bounds is read",
    "seed: &n 3\ndataset: {path: x, split: {seed: *n}}",
    (spec) => spec.dataset.split.seed,
    3,
  ],
];

for (const [name, input, field, expected] of good) {
  test(name, () => assert.deepEqual(field(parse(input)), expected));
}

test("the JSON of a parsed spec parses to the same spec", () => {
  for (const [, input] of good) {
    const spec = parse(input);
    assert.deepEqual(
      parseJobSpec(JSON.parse(JSON.stringify(spec)) as object, { ...options, baseFolder: "/other" }),
      spec,
    );
  }
});

test("aliases that would expand without bound are refused", () => {
  const levels = Array.from({ length: 12 }, (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n},`.repeat(9)}]`);
  assert.throws(
    () => parse(`l0: &l0 x\n${levels.join("\n")}\n`),
    /job\.yaml: found a fault in the text \(Excessive alias count/,
  );
});

/** Laid over "dataset: x". Each gives the whole sentence. */
const bad: readonly [input: string | object, sentence: string][] = [
  [
    "{}",
    "job.yaml: dataset.path: found nothing; allowed: a folder with one folder of images for each class, or a folder of IDX or CIFAR files",
  ],
  ["", "job.yaml: found an empty file; allowed: a mapping of a job spec's fields, dataset and others"],
  ["- 1", "job.yaml: found no mapping; allowed: a mapping of a job spec's fields, dataset and others"],
  [
    "dataset: x\nseed: 1\nseed: 2",
    "job.yaml: found a fault in the text (Map keys must be unique at line 3, column 1); allowed: YAML or JSON",
  ],
  [
    '{"dataset": ',
    "job.yaml: found a fault in the text (Flow map must end with a } at line 1, column 13); allowed: YAML or JSON",
  ],
  [
    `dataset: ${"x".repeat(1024 * 1024)}`,
    "job.yaml: found 1048585 bytes; allowed: a job spec of at most 1048576 bytes",
  ],
  [
    "datset: x",
    'job.yaml: datset: found an unknown key; allowed: name, seed, dataset, preprocess, augmentation, model, optimizer, training, engine, determinism, cluster (did you mean "dataset"?)',
  ],
  [
    { dataset: "x", optimizer: { learning_rate: 1 } },
    'job.yaml: optimizer.learning_rate: found an unknown key; allowed: name, learningRate, weightDecay, momentum, nesterov, beta1, beta2, epsilon (did you mean "learningRate"?)',
  ],
  [
    { dataset: "x", training: { colour: 1 } },
    "job.yaml: training.colour: found an unknown key; allowed: epochs, batchSize, microBatches",
  ],
  [
    { dataset: ["x"] },
    "job.yaml: dataset: found a list of 1; allowed: a mapping with path, format, imageSize, channels, split",
  ],
  [
    { dataset: "x", name: "My Run" },
    'job.yaml: name: found "My Run"; allowed: 1 to 100 of a-z, 0-9, ".", "_", "-", starting with a letter or digit',
  ],
  [
    { dataset: "x", name: "../up" },
    'job.yaml: name: found "../up"; allowed: 1 to 100 of a-z, 0-9, ".", "_", "-", starting with a letter or digit',
  ],
  [{ dataset: "x", seed: -1 }, "job.yaml: seed: found -1; allowed: a whole number from 0 to 2^53-1"],
  [{ dataset: "x", seed: 2 ** 53 }, "job.yaml: seed: found 9007199254740992; allowed: a whole number from 0 to 2^53-1"],
  [{ dataset: "x", seed: "7" }, 'job.yaml: seed: found "7"; allowed: a whole number from 0 to 2^53-1'],
  [
    { dataset: { path: "x", format: "cifar" } },
    'job.yaml: dataset.format: found "cifar"; allowed: folder, idx, cifar-binary, cifar-python, auto',
  ],
  [
    { dataset: { path: "x", imageSize: 2 } },
    "job.yaml: dataset.imageSize: found 2; allowed: auto, a side from 4 to 4096 pixels, or {height, width} (on the command line HEIGHTxWIDTH)",
  ],
  [
    { dataset: { path: "x", channels: 4 } },
    "job.yaml: dataset.channels: found 4; allowed: 1 (grey), 3 (colour) or auto",
  ],
  [
    { dataset: { path: "x", split: { train: 0.9, validation: 0.2, test: 0 } } },
    "job.yaml: dataset.split: found shares that sum to 1.1 (train 0.9, validation 0.2, test 0); allowed: a sum of at most 1",
  ],
  [
    { dataset: { path: "x", split: { train: 0 } } },
    "job.yaml: dataset.split.train: found 0; allowed: a number above 0 and at most 1",
  ],
  [{ dataset: "x", preprocess: { resize: "fit" } }, 'job.yaml: preprocess.resize: found "fit"; allowed: crop, stretch'],
  [
    { dataset: { path: "x", channels: 3 }, preprocess: { normalize: { mean: [0.5], std: [0.5] } } },
    "job.yaml: preprocess.normalize.mean: found a list of 1; allowed: 3 numbers from -10 to 10, one a channel",
  ],
  [
    { dataset: { path: "x", channels: 1 }, preprocess: { normalize: { mean: [0.5], std: [0] } } },
    "job.yaml: preprocess.normalize.std: found a list of 1; allowed: 1 number above 0 and at most 100, one a channel",
  ],
  [
    { dataset: "x", augmentation: { horizontalFlip: 2 } },
    "job.yaml: augmentation.horizontalFlip: found 2; allowed: a number 0 or more and at most 1",
  ],
  [
    { dataset: "x", augmentation: { randomCropPadding: 1.5 } },
    "job.yaml: augmentation.randomCropPadding: found 1.5; allowed: a whole number from 0 to 64",
  ],
  [
    { dataset: "x", model: "smal-cnn" },
    'job.yaml: model: found "smal-cnn"; allowed: simple-cnn, small-cnn (did you mean "small-cnn"?)',
  ],
  [
    { dataset: "x", model: "small-cnn:width" },
    'job.yaml: model: found "width"; allowed: name=number after "small-cnn:", as in small-cnn:width=24,dropout=0.2',
  ],
  [
    { dataset: "x", model: "small-cnn:wdth=24" },
    "job.yaml: model: wdth: found a parameter that small-cnn does not have; allowed: width, dropout",
  ],
  [
    { dataset: "x", model: { parameters: { width: 2 } } },
    "job.yaml: model.parameters.width: found 2; allowed: a whole number from 4 to 256",
  ],
  [
    { dataset: "x", model: { architecture: "small-cnn", layers: [{ type: "relu" }] } },
    'job.yaml: model.architecture: found "small-cnn"; allowed: either an architecture or a list of layers, not both',
  ],
  [
    { dataset: "x", model: { layers: [] } },
    "job.yaml: model.layers: found a list of 0; allowed: a list of 1 to 1000 layers",
  ],
  [
    { dataset: "x", model: { layers: [{ type: "relu" }, { type: "maxpool", kernel: 2 }] } },
    'job.yaml: model.layers[1].type: found "maxpool"; allowed: conv2d, relu, max-pool, average-pool, global-average-pool, flatten, dense, dropout, batch-norm, add, concat (did you mean "max-pool"?)',
  ],
  [
    { dataset: "x", model: { layers: [{ type: "conv2d", filters: 8 }] } },
    "job.yaml: model.layers[0].kernel: found nothing; allowed: a whole number from 1 to 64",
  ],
  [
    { dataset: "x", model: { layers: [{ type: "relu", kernel: 8 }] } },
    "job.yaml: model.layers[0].kernel: found an unknown key; allowed: type, name, inputs",
  ],
  [
    { dataset: "x", model: { layers: [{ type: "dropout", rate: 1 }] } },
    "job.yaml: model.layers[0].rate: found 1; allowed: a number 0 or more and below 1",
  ],
  [
    { dataset: "x", model: { layers: [{ type: "relu", name: "input" }] } },
    'job.yaml: model.layers[0].name: found "input"; allowed: up to 100 letters, digits, _ and -, other than "input"',
  ],
  [
    { dataset: "x", optimizer: "adm" },
    'job.yaml: optimizer.name: found "adm"; allowed: sgd, adam, adamw (did you mean "adam"?)',
  ],
  [
    { dataset: "x", optimizer: { name: "adam", learningRate: 0 } },
    "job.yaml: optimizer.learningRate: found 0; allowed: a number above 0 and at most 1,000",
  ],
  [
    { dataset: "x", optimizer: { name: "adam", momentum: 0.9 } },
    "job.yaml: optimizer.momentum: found a field that adam does not have; allowed: learningRate, weightDecay, beta1, beta2, epsilon",
  ],
  [
    { dataset: "x", optimizer: { name: "sgd", momentum: 0, nesterov: true } },
    "job.yaml: optimizer.nesterov: found true; allowed: false, or a momentum above 0",
  ],
  [
    { dataset: "x", training: { epochs: 0 } },
    "job.yaml: training.epochs: found 0; allowed: a whole number from 1 to 100,000",
  ],
  [
    { dataset: "x", training: { microBatches: "many" } },
    'job.yaml: training.microBatches: found "many"; allowed: auto or a whole number',
  ],
  [
    { dataset: "x", training: { batchSize: 10, microBatches: 7 } },
    "job.yaml: training.microBatches: found 7 micro-batches of 2 samples for a batch size of 10, of which the last would be empty; allowed: 5 or 10 for this batch size",
  ],
  [
    { dataset: "x", training: { batchSize: 4, microBatches: 8 } },
    "job.yaml: training.microBatches: found 8 micro-batches for a batch size of 4; allowed: 4 for this batch size",
  ],
  [
    { dataset: "x", cluster: { workers: 3 } },
    "job.yaml: cluster.workers: found 3 workers for 2 micro-batches a global batch; allowed: at most one worker a micro-batch: fewer workers, or training.microBatches (--micro-batches) of at least 3, which changes the weights",
  ],
  [
    { dataset: "x", cluster: { dataShards: 0 } },
    "job.yaml: cluster.dataShards: found 0; allowed: a whole number from 1 to 256",
  ],
  [{ dataset: "x", determinism: "loose" }, 'job.yaml: determinism: found "loose"; allowed: strict, relaxed'],
  [{ dataset: "x", engine: { name: "onnx" } }, 'job.yaml: engine.name: found "onnx"; allowed: onnxruntime, tensorflow'],
];

for (const [input, sentence] of bad) {
  test(`refused: ${sentence.slice(0, 100)}`, () => {
    assert.throws(
      () => parse(input),
      (thrown) => {
        assert.ok(thrown instanceof InputError);
        assert.equal(thrown.message, sentence);
        return true;
      },
    );
  });
}

test("nested text without end is refused with a sentence", () => {
  assert.throws(() => parse(`dataset: ${"[".repeat(100_000)}`), InputError);
});

test("a field that came from a flag is named by the flag", () => {
  const fieldOrigins = new Map([["optimizer.learningRate", "--lr"]]);
  const input = { dataset: "x", optimizer: { learningRate: -1 } };
  assert.throws(() => parseJobSpec(input, { ...options, fieldOrigins }), /^InputError: --lr: found -1; allowed/);
});
