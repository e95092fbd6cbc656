import assert from "node:assert/strict";
import { test } from "node:test";
import { layoutOf } from "./layout.js";
import { buildNetwork } from "./network.js";

test("simple-cnn's layout: torchvision's names, PyTorch's shapes, no gaps", () => {
  const network = buildNetwork(
    { architecture: "simple-cnn", parameters: {} },
    { channels: 3, height: 32, width: 32 },
    10,
  );
  const layout = layoutOf(network);
  assert.deepEqual(
    layout.parameters.map(({ name, shape, offset, length }) => [name, shape.join("x"), offset, length]),
    [
      ["conv1.weight", "16x3x3x3", 0, 432],
      ["conv1.bias", "16", 432, 16],
      ["fc1.weight", "10x4096", 448, 40_960],
      ["fc1.bias", "10", 41_408, 10],
    ],
  );
  assert.equal(layout.parameterCount, 41_418);
  assert.deepEqual(layout.statistics, []);
});

test("statistics have a vector of their own, with their layer's momentum", () => {
  const network = buildNetwork(
    {
      layers: [
        { type: "conv2d", filters: 4, kernel: 1, bias: false },
        { type: "batch-norm" },
        { type: "flatten" },
        { type: "dense", units: 6, bias: false },
        { type: "batch-norm", momentum: 0.5 },
        { type: "dense", units: 2 },
      ],
    },
    { channels: 1, height: 1, width: 1 },
    2,
  );
  const layout = layoutOf(network);
  assert.deepEqual(
    layout.parameters.map(({ name, role }) => `${name} ${role}`),
    [
      "conv2d1.weight weight",
      "batch-norm1.weight scale",
      "batch-norm1.bias shift",
      "dense1.weight weight",
      "batch-norm2.weight scale",
      "batch-norm2.bias shift",
      "dense2.weight weight",
      "dense2.bias bias",
    ],
  );
  assert.deepEqual(
    layout.statistics.map(({ name, offset, length, momentum }) => [name, offset, length, momentum]),
    [
      ["batch-norm1.running_mean", 0, 4, 0.1],
      ["batch-norm1.running_var", 4, 4, 0.1],
      ["batch-norm2.running_mean", 8, 6, 0.5],
      ["batch-norm2.running_var", 14, 6, 0.5],
    ],
  );
  assert.equal(layout.statisticCount, 20);
});
