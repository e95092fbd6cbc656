import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encode } from "./index.js";
import type { OnnxGraph } from "./index.js";

const graph: OnnxGraph = {
  name: "a graph, ünïcode",
  inputs: [
    { name: "x", type: "float32", shape: ["N", 300] },
    { name: "mask", type: "uint8", shape: [2, 3] },
  ],
  outputs: [
    { name: "t2", type: "float32", shape: [] },
    { name: "t3", type: "int32", shape: [1] },
  ],
  constants: [
    { name: "c1", type: "float32", shape: [2], values: [1, -2.5] },
    { name: "c2", type: "int64", shape: [2], values: [-1, 2 ** 40] },
    { name: "c3", type: "int32", shape: [1], values: [-7] },
    { name: "c4", type: "uint8", shape: [3], values: [0, 128, 255] },
    { name: "c5", type: "bool", shape: [1, 1], values: [1] },
    { name: "c6", type: "float32", shape: [], values: [0] },
  ],
  nodes: [
    {
      type: "Conv",
      inputs: ["x", "c1"],
      outputs: ["t1"],
      attributes: { strides: [1, 300], kernel_shape: [3, 3], auto_pad: "NOTSET" },
    },
    {
      type: "BatchNormalization",
      inputs: ["t1"],
      outputs: ["t2", "t3"],
      attributes: { epsilon: { float: 1e-5 }, training_mode: 1, axis: -1 },
    },
  ],
};

test("the bytes are those of the onnx package", () => {
  const path = new URL("../testdata/encoding.json", import.meta.url);
  const recorded = JSON.parse(readFileSync(path, "utf8")) as { readonly bytes: string };
  const bytes = encode(graph, { metadata: { classes: '["cat","dög"]', empty: "" } });
  assert.equal(Buffer.from(bytes).toString("hex"), recorded.bytes);
});
