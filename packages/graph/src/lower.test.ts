import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { differentiate, encode, GraphBuilder, lower, print } from "./index.js";
import type { OnnxGraph, Value } from "./index.js";

const statistics = { mean: [0.5, 0.4, 0.3], std: [0.25, 0.3, 0.2] };

interface SimpleCnn {
  readonly g: GraphBuilder;
  readonly parameters: readonly Value[];
  readonly logits: Value;
}

/** The guide's network: convolution 3 to 16, 3x3, padding 1; ReLU; max-pool 2; one fully connected layer. */
function simpleCnn(name: string, samples: number, size: number): SimpleCnn {
  const g = new GraphBuilder(name);
  const image = g.input("image", "uint8", [samples, size, size, 3]);
  const features = (16 * size * size) / 4;
  const shapes = { "conv1.weight": [16, 3, 3, 3], "conv1.bias": [16], "fc1.weight": [10, features], "fc1.bias": [10] };
  const parameters = Object.entries(shapes).map(([parameter, shape]) => g.input(parameter, "float32", shape));
  const [weight, bias, denseWeight, denseBias] = parameters as [Value, Value, Value, Value];
  const convolved = g.convolution(g.castNormalise(image, statistics), weight, { stride: 1, padding: 1 });
  const pooled = g.maxPool(g.relu(g.addBias(convolved, bias)), { kernel: 2, stride: 2, padding: 0 });
  return { g, parameters, logits: g.addBias(g.dense(g.flatten(pooled), denseWeight), denseBias) };
}

function training(samples: number): { readonly text: string; readonly lowered: OnnxGraph } {
  const { g, parameters, logits } = simpleCnn("training", samples, 32);
  const labels = g.input("labels", "int32", [samples]);
  const loss = g.softmaxCrossEntropySum(logits, labels);
  g.output("loss", loss);
  g.output("correct", g.countEqual(g.argMax(logits), labels));
  differentiate(g, loss, parameters).forEach((gradient, index) => {
    g.output(`gradient.${parameters[index]?.name}`, gradient);
  });
  const graph = g.finish();
  const lowered = lower(graph);
  return { text: `${print(graph)}\n${print(lowered)}`, lowered };
}

test("the training graph of simple-cnn at 32x32 and 16 samples is the recorded one", () => {
  const path = new URL("../testdata/simple-cnn.txt", import.meta.url);
  const { text } = training(16);
  if (process.env["LOCKSTEP_REWRITE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"), "set LOCKSTEP_REWRITE=1 to record a graph that was meant to change");
  assert.equal(text, training(16).text);
});

test("only the sizes differ between numbers of samples", () => {
  const nodes = (samples: number): readonly string[] => training(samples).lowered.nodes.map((node) => node.type);
  assert.deepEqual(nodes(1), nodes(256));
});

function pixels(samples: number, size: number): Tensor {
  const data = Uint8Array.from(
    { length: samples * size * size * 3 },
    (_, index) => (index * index * 31 + index * 7) % 256,
  );
  return new Tensor("uint8", data, [samples, size, size, 3]);
}

function parameterTensors(parameters: readonly Value[]): Record<string, Tensor> {
  return Object.fromEntries(
    parameters.map(({ name, shape }, which) => {
      const count = shape.reduce((product, length) => product * length, 1);
      const data = Float32Array.from({ length: count }, (_, index) => ((index * 37 + which * 11) % 101) / 500 - 0.1);
      return [name, new Tensor("float32", data, shape)];
    }),
  );
}

async function probabilities(graph: OnnxGraph, feeds: Record<string, Tensor>): Promise<Tensor> {
  const session = await InferenceSession.create(encode(graph), { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const { probabilities: result } = await session.run(feeds);
  assert.ok(result);
  return result;
}

/** Every forward operator that a deployable model can hold, with parameters as inputs. */
function deployable(samples: number): { readonly g: GraphBuilder; readonly parameters: readonly Value[] } {
  const { g, parameters, logits } = simpleCnn("inference", samples, 8);
  const more: Value[] = [];
  const parameter = (name: string, shape: readonly number[]): Value => {
    const value = g.input(name, "float32", shape);
    more.push(value);
    return value;
  };
  const ten = (name: string): Value => parameter(name, [10]);
  const x = g.reshape(logits, [samples, 10, 1, 1]);
  const normed = g.batchNormInference(
    x,
    ten("s"),
    ten("h"),
    ten("m"),
    g.constant(new Float32Array(10).fill(0.5), [10]),
    {
      epsilon: 1e-5,
    },
  );
  const convolved = g.convolution(normed, parameter("w", [10, 10, 1, 1]), { stride: 1, padding: 0 });
  const pooled = g.concat([
    g.globalAveragePool(g.relu(g.add(convolved, normed))),
    g.averagePool(convolved, { kernel: 3, stride: 1, padding: 1 }),
    g.maxPool(convolved, { kernel: 3, stride: 1, padding: 1 }),
  ]);
  const scores = g.addBias(g.dense(g.flatten(pooled), parameter("v", [4, 30])), parameter("u", [4]));
  g.output("probabilities", g.softmax(g.mul(scores, scores)));
  return { g, parameters: [...parameters, ...more] };
}

test("a graph with a free number of images gives the probabilities of the fixed one", async () => {
  const fixed = deployable(3);
  const feeds = { image: pixels(3, 8), ...parameterTensors(fixed.parameters) };
  const expected = await probabilities(lower(fixed.g.finish()), feeds);
  const free = lower(deployable(1).g.finish(), { batch: "free" });
  assert.deepEqual(free.inputs[0]?.shape, ["N", 8, 8, 3]);
  const found = await probabilities(free, feeds);
  assert.deepEqual([...found.dims], [3, 4]);
  const expectedData = expected.data as Float32Array;
  for (const [index, value] of (found.data as Float32Array).entries()) {
    const difference = Math.abs(value - (expectedData[index] ?? Number.NaN));
    assert.ok(difference < 1e-6, `probability ${index} is off by ${difference}`);
  }
});

test("an operator that must know the number of images is refused in a free graph", () => {
  const { g, logits } = simpleCnn("evaluation", 1, 8);
  g.output("loss", g.softmaxCrossEntropySum(logits, g.input("labels", "int32", [1])));
  assert.throws(() => lower(g.finish(), { batch: "free" }), /softmaxCrossEntropySum needs a fixed number of images/);
});
