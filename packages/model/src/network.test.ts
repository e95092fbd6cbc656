import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError, type LayerSpec, type ModelSpec } from "@lockstep/spec";
import { type NetworkInput, buildNetwork, describeNetwork } from "./network.js";
import { formatShape } from "./shape.js";

const image: NetworkInput = { channels: 3, height: 10, width: 8 };

function rows(model: ModelSpec, input: NetworkInput, classes: number): string[] {
  return describeNetwork(buildNetwork(model, input, classes)).map(
    (row) => `${row.name} ${row.type} ${formatShape(row.output)} ${row.parameters} ${row.multiplyAdds}`,
  );
}

test("simple-cnn is the guide's network at any size", () => {
  assert.deepEqual(rows({ architecture: "simple-cnn", parameters: {} }, { channels: 1, height: 29, width: 28 }, 7), [
    "conv1 conv2d [16, 29, 28] 160 116928",
    "relu1 relu [16, 29, 28] 0 0",
    "pool1 max-pool [16, 14, 14] 0 0",
    "flatten flatten [3136] 0 0",
    "fc1 dense [7] 21959 21952",
  ]);
});

test("small-cnn halves the image until it is below 8 pixels, and takes width and dropout", () => {
  const blocks = (side: number): number =>
    buildNetwork(
      { architecture: "small-cnn", parameters: {} },
      { channels: 3, height: side, width: side },
      10,
    ).layers.filter((layer) => layer.type === "conv2d").length;
  assert.deepEqual([8, 28, 32, 48, 64, 100, 128, 256, 1024].map(blocks), [3, 3, 3, 3, 4, 4, 5, 6, 6]);
  const size = { channels: 3, height: 64, width: 64 };
  const usual = buildNetwork({ architecture: "small-cnn", parameters: {} }, size, 10);
  assert.equal(
    usual.layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0),
    15_945_728,
  );
  assert.ok(!usual.layers.some((layer) => layer.type === "dropout"));
  const wide = buildNetwork({ architecture: "small-cnn", parameters: { width: 8, dropout: 0.25 } }, size, 10);
  assert.deepEqual(
    wide.layers.flatMap((layer) =>
      layer.type === "conv2d" ? [layer.filters] : layer.type === "dropout" ? [layer.rate] : [],
    ),
    [8, 16, 32, 64, 0.25],
  );
});

test("architectures refuse parameters that they do not have or that are out of range", () => {
  const build = (architecture: "simple-cnn" | "small-cnn", parameters: Record<string, number>) => () =>
    buildNetwork({ architecture, parameters }, image, 4);
  assert.throws(
    build("simple-cnn", { width: 8 }),
    /model.parameters.width: .*simple-cnn does not have; allowed: no par/,
  );
  assert.throws(build("small-cnn", { depth: 8 }), /model.parameters.depth: .*allowed: width, dropout/);
  assert.throws(build("small-cnn", { width: 7.5 }), /model.parameters.width: found 7.5; allowed: a whole number/);
  assert.throws(
    build("small-cnn", { dropout: 1 }),
    /model.parameters.dropout: found 1; allowed: a number from 0 to 0.9/,
  );
  assert.throws(build("small-cnn", { dropout: Number.NaN }), InputError);
});

test("layers may branch and meet again", () => {
  const model: ModelSpec = {
    layers: [
      { type: "conv2d", name: "stem", filters: 4, kernel: 3, stride: 2, padding: 1 },
      { type: "conv2d", name: "left", filters: 4, kernel: 3, padding: 1 },
      { type: "conv2d", name: "right", inputs: ["stem"], filters: 4, kernel: 1 },
      { type: "add", name: "sum", inputs: ["left", "right", "stem"] },
      { type: "concat", name: "both", inputs: ["sum", "stem"] },
      { type: "average-pool", kernel: 3, stride: 2, padding: 1 },
      { type: "global-average-pool" },
      { type: "dense", units: 5 },
    ],
  };
  assert.deepEqual(rows(model, image, 5), [
    "stem conv2d [4, 5, 4] 112 2160",
    "left conv2d [4, 5, 4] 148 2880",
    "right conv2d [4, 5, 4] 20 320",
    "sum add [4, 5, 4] 0 0",
    "both concat [8, 5, 4] 0 0",
    "average-pool1 average-pool [8, 3, 2] 0 0",
    "global-average-pool1 global-average-pool [8] 0 0",
    "dense1 dense [5] 45 40",
  ]);
});

const flatten: LayerSpec = { type: "flatten" };
const refusals: readonly { why: string; layers: LayerSpec[]; sentence: RegExp }[] = [
  {
    why: "a dense layer on an image",
    layers: [{ type: "dense", name: "fc", units: 4 }],
    sentence: /layer "fc" \(dense\): found input \[3, 10, 8\] from "input"; allowed: \[features\]; a flatten/,
  },
  {
    why: "a convolution on features",
    layers: [flatten, { type: "conv2d", name: "conv", filters: 4, kernel: 1 }],
    sentence: /layer "conv" \(conv2d\): found input \[240\] from "flatten1"; allowed: \[channels, height, width\]/,
  },
  {
    why: "a kernel larger than the image",
    layers: [{ type: "max-pool", kernel: 9 }],
    sentence:
      /layer "max-pool1" \(max-pool\): found input \[3, 10, 8\] from "input", where kernel 9 .* would give \[1, 0\]/,
  },
  {
    why: "adding unlike shapes",
    layers: [
      { type: "conv2d", name: "a", filters: 4, kernel: 1 },
      { type: "conv2d", name: "b", filters: 5, kernel: 1, inputs: ["input"] },
      { type: "add", name: "sum", inputs: ["a", "b"] },
    ],
    sentence:
      /layer "sum" \(add\): found input \[4, 10, 8\] from "a" and \[5, 10, 8\] from "b"; allowed: inputs of one shape/,
  },
  {
    why: "joining unlike images",
    layers: [
      { type: "max-pool", name: "a", kernel: 2 },
      { type: "concat", name: "both", inputs: ["a", "input"] },
    ],
    sentence: /layer "both" \(concat\): found input \[3, 5, 4\] from "a" and \[3, 10, 8\] from "input"/,
  },
  {
    why: "adding one input",
    layers: [{ type: "add" }],
    sentence: /layer "add1" \(add\): found input \[3, 10, 8\] from "input"; allowed: two inputs or more/,
  },
  {
    why: "two inputs where one is taken",
    layers: [
      { type: "relu", name: "a" },
      { type: "relu", name: "b", inputs: ["a", "input"] },
    ],
    sentence: /layer "b" \(relu\): .*allowed: one input/,
  },
  {
    why: "no input",
    layers: [{ type: "relu", name: "a", inputs: [] }],
    sentence: /layer "a" \(relu\): found no input; allowed: one input/,
  },
  {
    why: "an input that comes later",
    layers: [
      { type: "relu", name: "a", inputs: ["b"] },
      { type: "relu", name: "b" },
    ],
    sentence: /layer "a" \(relu\): found input "b", which no earlier layer is called; allowed: input/,
  },
  {
    why: "an output that nobody takes",
    layers: [
      { type: "relu", name: "lost" },
      { ...flatten, inputs: ["input"] },
      { type: "dense", units: 4 },
    ],
    sentence: /layer "lost" \(relu\): found output \[3, 10, 8\] that no layer takes/,
  },
  {
    why: "a last layer that is not one value a class",
    layers: [flatten, { type: "dense", name: "fc", units: 5 }],
    sentence:
      /layer "fc" \(dense\), the last one: found output \[5\]; allowed: \[4\], one value for each of the 4 classes/,
  },
  {
    why: "two layers of one name",
    layers: [
      { type: "relu", name: "a" },
      { type: "relu", name: "a" },
    ],
    sentence: /model.layers\[1\].name: found "a" again/,
  },
  {
    why: "a layer called input",
    layers: [{ type: "relu", name: "input" }],
    sentence: /model.layers\[0\].name: found "input" again/,
  },
  {
    why: "a name with other characters",
    layers: [{ type: "relu", name: "a b" }],
    sentence: /model.layers\[0\].name: found "a b"; allowed: letters/,
  },
  { why: "no layers", layers: [], sentence: /model.layers: found 0 layers/ },
  {
    why: "a kernel that is no whole number",
    layers: [{ type: "conv2d", filters: 4, kernel: 2.5 }],
    sentence:
      /layer "conv2d1" \(conv2d\): found kernel 2.5 on input \[3, 10, 8\] from "input"; allowed: a whole number from 1 to 64/,
  },
  {
    why: "a stride of 0",
    layers: [{ type: "average-pool", kernel: 2, stride: 0 }],
    sentence: /found stride 0/,
  },
  {
    why: "pooling windows that hold padding alone",
    layers: [{ type: "max-pool", kernel: 3, padding: 2 }],
    sentence: /found padding 2 .*from 0 to 1/,
  },
  {
    why: "more filters than anyone means",
    layers: [{ type: "conv2d", filters: 1e9, kernel: 1 }],
    sentence: /found filters 1000000000/,
  },
  {
    why: "an output larger than memory",
    layers: [{ type: "conv2d", filters: 65_536, kernel: 1, padding: 64 }],
    sentence: /found output \[65536, 138, 136\]; allowed: at most 268435456 values a sample/,
  },
  {
    why: "more parameters than memory",
    layers: [{ type: "conv2d", filters: 32, kernel: 1, padding: 60 }, flatten, { type: "dense", units: 4096 }],
    sentence: /layer "dense1" \(dense\): found \d+ parameters up to here, for input \[532480\] and output \[4096\]/,
  },
  { why: "a dropout rate of 1", layers: [{ type: "dropout", rate: 1 }], sentence: /found rate 1; allowed: 0 up to/ },
  { why: "momentum above 1", layers: [{ type: "batch-norm", momentum: 1.5 }], sentence: /found momentum 1.5/ },
  { why: "epsilon 0", layers: [{ type: "batch-norm", epsilon: 0 }], sentence: /found epsilon 0/ },
];

for (const { why, layers, sentence } of refusals) {
  test(`refused with layer and shapes: ${why}`, () => {
    assert.throws(
      () => buildNetwork({ layers }, image, 4),
      (error) => {
        assert.ok(error instanceof InputError, String(error));
        assert.match(error.message, sentence);
        return true;
      },
    );
  });
}
