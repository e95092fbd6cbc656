import assert from "node:assert/strict";
import { test } from "node:test";
import { differentiate, GraphBuilder, lower, print } from "./index.js";
import type { Value } from "./index.js";

interface Inputs {
  readonly g: GraphBuilder;
  readonly image: Value;
  readonly x: Value;
  readonly features: Value;
  readonly labels: Value;
}

function inputs(): Inputs {
  const g = new GraphBuilder("test");
  return {
    g,
    image: g.input("image", "uint8", [2, 8, 8, 3]),
    x: g.input("x", "float32", [2, 3, 8, 8]),
    features: g.input("features", "float32", [2, 5]),
    labels: g.input("labels", "int32", [2]),
  };
}

const mistakes: readonly {
  readonly what: string;
  make: (inputs: Inputs) => unknown;
  readonly says: readonly RegExp[];
}[] = [
  {
    what: "input channels of a convolution",
    make: ({ g, x }) => g.convolution(x, g.input("w", "float32", [4, 2, 3, 3]), { stride: 1, padding: 1 }),
    says: [/^convolution: /, /\[2, 3, 8, 8\]/, /\[4, 2, 3, 3\]/, /3 and 2 input channels/],
  },
  {
    what: "a kernel larger than its input",
    make: ({ g, x }) => g.convolution(x, g.input("w", "float32", [4, 3, 9, 9]), { stride: 1, padding: 0 }),
    says: [/^convolution: /, /\[2, 3, 8, 8\]/, /\[4, 3, 9, 9\]/, /larger/],
  },
  {
    what: "features of a dense layer",
    make: ({ g, features }) => g.dense(features, g.input("w", "float32", [4, 6])),
    says: [/^dense: /, /\[2, 5\]/, /\[4, 6\]/],
  },
  {
    what: "images into a dense layer",
    make: ({ g, x }) => g.dense(x, g.input("w", "float32", [4, 192])),
    says: [/^dense: /, /two axes/, /\[2, 3, 8, 8\]/],
  },
  {
    what: "a bias of another length",
    make: ({ g, x }) => g.addBias(x, g.input("b", "float32", [8])),
    says: [/^addBias: /, /\[2, 3, 8, 8\]/, /\[8\]/],
  },
  {
    what: "unequal shapes in a sum",
    make: ({ g, x, features }) => g.add(x, features),
    says: [/^add: /, /\[2, 3, 8, 8\]/, /\[2, 5\]/],
  },
  {
    what: "unequal shapes in a concatenation",
    make: ({ g, x }) => g.concat([x, g.input("y", "float32", [2, 3, 8, 7])]),
    says: [/^concat: /, /\[2, 3, 8, 8\]/, /\[2, 3, 8, 7\]/],
  },
  {
    what: "a pool larger than its input",
    make: ({ g, x }) => g.maxPool(x, { kernel: 9, stride: 9, padding: 0 }),
    says: [/^maxPool: /, /9/, /\[2, 3, 8, 8\]/],
  },
  {
    what: "padding beyond half a kernel",
    make: ({ g, x }) => g.averagePool(x, { kernel: 2, stride: 2, padding: 2 }),
    says: [/^averagePool: /, /half a kernel/],
  },
  {
    what: "one value a channel in batch norm",
    make: ({ g }) => {
      const parameter = (name: string): Value => g.input(name, "float32", [4]);
      const x = g.input("one", "float32", [1, 4]);
      return g.batchNormTraining(x, parameter("scale"), parameter("shift"), { epsilon: 1e-5 });
    },
    says: [/^batchNormTraining: /, /more than one value/, /\[1, 4\]/],
  },
  {
    what: "channels of batch norm",
    make: ({ g, x }) => {
      const four = g.input("four", "float32", [4]);
      return g.batchNormTraining(x, four, four, { epsilon: 1e-5 });
    },
    says: [/^batchNormTraining: /, /\[2, 3, 8, 8\]/, /\[4\]/],
  },
  {
    what: "statistics of another number of channels",
    make: ({ g, image }) => g.castNormalise(image, { mean: [0.5], std: [0.5] }),
    says: [/^castNormalise: /, /\[2, 8, 8, 3\]/, /1 means/],
  },
  {
    what: "labels of another batch",
    make: ({ g, features }) => g.softmaxCrossEntropySum(features, g.input("three", "int32", [3])),
    says: [/^softmaxCrossEntropySum: /, /\[2, 5\]/, /\[3\]/],
  },
  {
    what: "a mask of another type",
    make: ({ g, features }) => g.dropout(features, features, { rate: 0.5 }),
    says: [/^dropout: /, /float32, uint8/, /float32, float32/],
  },
  {
    what: "another number of elements",
    make: ({ g, features }) => g.reshape(features, [3, 3]),
    says: [/^reshape: /, /\[2, 5\]/, /\[3, 3\]/],
  },
  {
    what: "an input's name used twice",
    make: ({ g }) => g.input("x", "float32", [1]),
    says: [/two inputs are named x/],
  },
  {
    what: "a gradient of something that is no scalar",
    make: ({ g, x }) => differentiate(g, x, [x]),
    says: [/^differentiate: /, /scalar/, /\[2, 3, 8, 8\]/],
  },
  {
    what: "a gradient through an operator that has none",
    make: ({ g, features }) => differentiate(g, g.sum(g.softmax(features)), [features]),
    says: [/^differentiate: softmax has no gradient/],
  },
];

for (const { what, make, says } of mistakes) {
  test(`a mistake is one sentence that names the operator and both shapes: ${what}`, () => {
    assert.throws(
      () => make(inputs()),
      (error: unknown) => {
        assert.ok(error instanceof Error);
        for (const pattern of says) assert.match(error.message, pattern);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      },
    );
  });
}

test("the same node asked for twice is made once", () => {
  const { g, x } = inputs();
  assert.equal(g.relu(x), g.relu(x));
  const [a, b] = [
    { stride: 1, padding: 1 },
    { stride: 1, padding: 0 },
  ];
  const weight = g.input("w", "float32", [4, 3, 3, 3]);
  assert.equal(g.convolution(x, weight, a), g.convolution(x, weight, { ...a }));
  assert.notEqual(g.convolution(x, weight, a), g.convolution(x, weight, b));
});

test("what no output needs is left out", () => {
  const { g, x } = inputs();
  g.relu(g.mul(x, x));
  g.output("y", g.add(x, x));
  assert.deepEqual(
    g.finish().nodes.map((node) => node.operator.name),
    ["add"],
  );
});

test("values that are not asked for get no gradient, and a value that the loss does not see gets zeros", () => {
  const { g, x, features } = inputs();
  const [first, second] = [g.input("w1", "float32", [4, 3, 3, 3]), g.input("w2", "float32", [4, 4, 3, 3])];
  const y = g.convolution(g.convolution(x, first, { stride: 1, padding: 1 }), second, { stride: 1, padding: 1 });
  const [gradient, zeros] = differentiate(g, g.sum(y), [second, features]);
  assert.ok(gradient !== undefined && zeros !== undefined);
  g.output("gradient", gradient);
  g.output("zeros", zeros);
  const operators = g.finish().nodes.map((node) => node.operator.name);
  assert.ok(operators.includes("convolutionWeightGradient"));
  assert.ok(!operators.includes("convolutionInputGradient"));
  assert.deepEqual(zeros.shape, [2, 5]);
  assert.match(print(g.finish()), /= constant\(\) \{"values":"0 0 0 0 0 0 0 0 0 0","shape":\[2,5\]\}/);
});

test("an output that is an input, and one value under two names, can be handed out", () => {
  const { g, x } = inputs();
  const y = g.relu(x);
  g.output("a", y);
  g.output("b", y);
  g.output("c", x);
  const text = print(lower(g.finish()));
  assert.match(text, /^a = Relu\(x\)$/m);
  assert.match(text, /^b = Identity\(a\)$/m);
  assert.match(text, /^c = Identity\(x\)$/m);
});
