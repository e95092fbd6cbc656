import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { differentiate, encode, GraphBuilder, lower } from "./index.js";
import type { Value } from "./index.js";

/** Largest difference from PyTorch's float64 values, as a share of the tensor's largest value. */
const toleranceRelative = 2e-5;

type Kind = "value" | "small" | "levels" | "offset" | "wide" | "byte" | "mask" | "label";

/** One case of testdata/operators.json; scripts/references/graph_operators.py says what its fields hold. */
interface Case {
  readonly name: string;
  readonly operator: string;
  readonly attributes: Attributes;
  readonly inputs: readonly { readonly shape: readonly number[]; readonly kind: Kind }[];
  readonly outputs: readonly { readonly shape: readonly number[]; readonly values: readonly number[] }[];
  readonly gradients: readonly (readonly number[] | null)[];
}

/** Each case has those that its operator takes. */
interface Attributes {
  readonly stride: number;
  readonly padding: number;
  readonly kernel: number;
  readonly rate: number;
  readonly epsilon: number;
  readonly classes: number;
  readonly shape: readonly number[];
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

type Build = (
  g: GraphBuilder,
  x: readonly [Value, Value, Value, Value, Value],
  a: Attributes,
) => Value | readonly Value[];

const pool2 = { kernel: 2, stride: 2, padding: 0 };
const same3 = { stride: 1, padding: 1 };

/** Every operator of the builder, and layers in a row that lowering joins or branches. */
const builds: Readonly<Record<string, Build>> = {
  add: (g, [a, b]) => g.add(a, b),
  double: (g, [x]) => g.add(x, x),
  mul: (g, [a, b]) => g.mul(a, b),
  relu: (g, [x]) => g.relu(x),
  dropout: (g, [x, mask], a) => g.dropout(x, mask, a),
  sum: (g, [x]) => g.sum(x),
  reshape: (g, [x], a) => g.reshape(x, a.shape),
  flatten: (g, [x]) => g.flatten(x),
  addBias: (g, [x, bias]) => g.addBias(x, bias),
  concat: (g, inputs) => g.concat(inputs.filter((input) => input !== undefined)),
  dense: (g, [x, weight]) => g.dense(x, weight),
  denseWithBias: (g, [x, weight, bias]) => g.addBias(g.dense(x, weight), bias),
  castNormalise: (g, [image], a) => g.castNormalise(image, a),
  convolution: (g, [x, weight], a) => g.convolution(x, weight, a),
  convolutionWithBias: (g, [x, weight, bias], a) => g.addBias(g.convolution(x, weight, a), bias),
  maxPool: (g, [x], a) => g.maxPool(x, a),
  averagePool: (g, [x], a) => g.averagePool(x, a),
  globalAveragePool: (g, [x]) => g.globalAveragePool(x),
  batchNormTraining: (g, [x, scale, shift], a) => {
    const { y, mean, variance } = g.batchNormTraining(x, scale, shift, a);
    return [y, mean, variance];
  },
  batchNormInference: (g, [x, scale, shift, mean, variance], a) =>
    g.batchNormInference(x, scale, shift, mean, variance, a),
  softmax: (g, [x]) => g.softmax(x),
  softmaxCrossEntropy: (g, [x, labels]) => g.softmaxCrossEntropy(x, labels),
  softmaxCrossEntropySum: (g, [x, labels]) => g.softmaxCrossEntropySum(x, labels),
  argMax: (g, [x]) => g.argMax(x),
  countEqual: (g, [a, b]) => g.countEqual(a, b),
  convolutionBiasReluPool: (g, [x, w, b]) => g.maxPool(g.relu(g.addBias(g.convolution(x, w, same3), b)), pool2),
  convolutionBiasPoolRelu: (g, [x, w, b]) => g.relu(g.maxPool(g.addBias(g.convolution(x, w, same3), b), pool2)),
  convolutionReluPool: (g, [x, w]) => g.maxPool(g.relu(g.convolution(x, w, same3)), pool2),
  twoBatchNorms: (g, [x, scale1, shift1, scale2, shift2]) => {
    const first = g.relu(g.batchNormTraining(x, scale1, shift1, { epsilon: 1e-5 }).y);
    return g.batchNormTraining(g.add(first, x), scale2, shift2, { epsilon: 1e-5 }).y;
  },
  imageToPool: (g, [image, w, b], a) =>
    g.maxPool(g.relu(g.addBias(g.convolution(g.castNormalise(image, a), w, same3), b)), pool2),
  imageToDense: (g, [image, w, b, v, c], a) => {
    const x = g.convolution(g.castNormalise(image, a), w, same3);
    return g.addBias(g.dense(g.flatten(g.maxPool(g.relu(g.addBias(x, b)), pool2)), v), c);
  },
  residual: (g, [x, w, v]) => {
    const y = g.relu(g.convolution(x, w, same3));
    return g.averagePool(g.add(g.add(y, g.convolution(y, v, same3)), y), pool2);
  },
  inception: (g, [x, w, v]) => {
    const branches = [
      g.convolution(x, w, same3),
      g.convolution(x, v, { stride: 1, padding: 0 }),
      g.maxPool(x, { kernel: 3, stride: 1, padding: 1 }),
    ];
    return g.relu(g.concat(branches));
  },
};

/** The formula of scripts/references/reference_values.py. */
function word(stream: number, index: number): number {
  let x = (index + 1 + 1_000_003 * stream) >>> 0;
  for (let round = 0; round < 2; round++) x = Math.imul(x ^ (x >>> 16), 0x45d9f3b) >>> 0;
  return (x ^ (x >>> 16)) >>> 0;
}

const value = (stream: number, index: number): number => (word(stream, index) >>> 8) / 2 ** 23 - 1;

function element(kind: Kind, stream: number, index: number, attributes: Attributes): number {
  switch (kind) {
    case "value":
      return value(stream, index);
    case "small":
      return 0.2 * value(stream, index);
    case "levels":
      return Math.floor(3 * value(stream, index)) / 2;
    case "offset":
      return 16 + Math.floor(1024 * value(stream, index)) / 1024;
    case "wide":
      return 40 * value(stream, index);
    case "byte":
      return word(stream, index) >>> 24;
    case "mask":
      return (word(stream, index) >>> 24) % 2;
    case "label":
      return (word(stream, index) >>> 24) % attributes.classes;
  }
}

function tensorOf(kind: Kind, stream: number, shape: readonly number[], attributes: Attributes): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Array.from({ length: count }, (_, index) => element(kind, stream, index, attributes));
  if (kind === "byte" || kind === "mask") return new Tensor("uint8", Uint8Array.from(values), shape);
  if (kind === "label") return new Tensor("int32", Int32Array.from(values), shape);
  return new Tensor("float32", Float32Array.from(values), shape);
}

interface Built {
  readonly bytes: Uint8Array;
  readonly feeds: Record<string, Tensor>;
}

/** The case as one graph: outputs out0, out1, ... and gradients grad0, grad1, ... of the weighted sum of out0. */
function buildCase(reference: Case): Built {
  const { attributes } = reference;
  const build = builds[reference.operator];
  assert.ok(build, `no builder for ${reference.operator}`);
  const g = new GraphBuilder(reference.name);
  const feeds: Record<string, Tensor> = {};
  const inputs = reference.inputs.map(({ kind, shape }, index) => {
    const tensor = tensorOf(kind, index, shape, attributes);
    feeds[`in${index}`] = tensor;
    return g.input(`in${index}`, tensor.type as Value["type"], shape);
  });
  const built = build(g, inputs as unknown as Parameters<Build>[1], attributes);
  const outputs = Array.isArray(built) ? (built as readonly Value[]) : [built as Value];
  const first = outputs[0];
  const differentiated = inputs.filter((_, index) => reference.gradients[index] !== null);
  if (first !== undefined && differentiated.length > 0) {
    feeds["weights"] = tensorOf("value", 100, first.shape, attributes);
    const scalar = g.sum(g.mul(first, g.input("weights", "float32", first.shape)));
    const gradients = differentiate(g, scalar, differentiated);
    gradients.forEach((gradient, index) => g.output(`grad${inputs.indexOf(differentiated[index] as Value)}`, gradient));
  }
  outputs.forEach((output, index) => g.output(`out${index}`, output));
  return { bytes: encode(lower(g.finish())), feeds };
}

function assertClose(
  found: Tensor | undefined,
  shape: readonly number[],
  expected: readonly number[],
  what: string,
): void {
  assert.ok(found, `${what} is missing`);
  assert.deepEqual([...found.dims], [...shape], `${what}: shape`);
  const data = found.data as Float32Array | Int32Array;
  const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  for (const [index, wanted] of expected.entries()) {
    const difference = Math.abs((data[index] ?? Number.NaN) - wanted);
    const allowed = toleranceRelative * largest;
    assert.ok(difference <= allowed, `${what}[${index}]: ${data[index]} instead of ${wanted}, off by ${difference}`);
  }
}

const { cases } = JSON.parse(readFileSync(new URL("../testdata/operators.json", import.meta.url), "utf8")) as {
  readonly cases: readonly Case[];
};

for (const reference of cases) {
  test(`agrees with PyTorch in float64: ${reference.name}`, async () => {
    const { bytes, feeds } = buildCase(reference);
    const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
    await session.run(feeds);
    // The second run: a graph must leave nothing behind in the session.
    const results = await session.run(feeds);
    for (const [index, { shape, values }] of reference.outputs.entries()) {
      assertClose(results[`out${index}`], shape, values, `output ${index}`);
    }
    for (const [index, gradient] of reference.gradients.entries()) {
      if (gradient === null) continue;
      assertClose(
        results[`grad${index}`],
        reference.inputs[index]?.shape ?? [],
        gradient,
        `gradient of input ${index}`,
      );
    }
  });
}

test("every operator of the table has a recorded case", () => {
  const recorded = new Set(cases.map((reference) => reference.operator));
  assert.deepEqual(
    Object.keys(builds).filter((operator) => !recorded.has(operator)),
    [],
  );
});
