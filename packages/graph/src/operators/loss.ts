import { at, expectTypes, sameShape, shapeText, sizes2 } from "../operator.js";
import type { Operator, Signature, Value } from "../operator.js";
import type { OnnxWriter } from "../onnx.js";

type None = Readonly<Record<string, never>>;

export const softmax: Operator<None> = {
  name: "softmax",
  infer(inputs) {
    expectTypes("softmax", inputs, ["float32"]);
    sizes2("softmax", at(inputs, 0));
    return [{ type: "float32", shape: at(inputs, 0).shape }];
  },
  emit: (onnx, _node, inputs) => [onnx.op("Softmax", inputs, { axis: 1 })],
  anyBatch: true,
};

/** 1.0 at [n, labels[n]], else 0.0. */
function oneHot(onnx: OnnxWriter, logits: Value, labels: string): string {
  const [batch, classes] = sizes2("softmaxCrossEntropySum", logits);
  const indices = onnx.constant(
    "int32",
    [1, classes],
    Array.from({ length: classes }, (_, index) => index),
  );
  return onnx.mask("Equal", onnx.reshape(labels, [batch, 1]), indices);
}

function expectLabels(operator: string, inputs: readonly Signature[]): number {
  expectTypes(operator, inputs, ["float32", "int32"]);
  const [logits, labels] = [at(inputs, 0), at(inputs, 1)];
  const [batch] = sizes2(operator, logits);
  if (!sameShape(labels.shape, [batch])) {
    throw new Error(`${operator}: labels ${shapeText(labels.shape)} do not fit logits ${shapeText(logits.shape)}`);
  }
  return batch;
}

/** log softmax(logits) where the label stands, else 0: [N, K]. */
function pickedLogProbabilities(
  onnx: OnnxWriter,
  logits: Value,
  [logitsName = "", labels = ""]: readonly string[],
): string {
  return onnx.op("Mul", [onnx.op("LogSoftmax", [logitsName], { axis: 1 }), oneHot(onnx, logits, labels)]);
}

/** losses[n] = - log softmax(logits)[n, labels[n]];  d losses[n] / d logits[n] = softmax(logits)[n] - oneHot(labels)[n]. */
export const softmaxCrossEntropy: Operator<None> = {
  name: "softmaxCrossEntropy",
  infer: (inputs) => [{ type: "float32", shape: [expectLabels("softmaxCrossEntropy", inputs)] }],
  gradient(builder, { inputs: [logits, labels] }, [dy]) {
    if (dy === undefined || logits === undefined || labels === undefined) return [];
    const each = (): Value => builder.apply(softmaxCrossEntropyGradient, [logits, labels], {});
    return [() => builder.apply(scaleRows, [each(), dy], {}), undefined];
  },
  emit: (onnx, { inputs }, names) => [
    onnx.op("Neg", [onnx.reduceSum(pickedLogProbabilities(onnx, at(inputs, 0), names), [1], "drop")]),
  ],
};

/** The sum of softmaxCrossEntropy over the samples, without the vector in between. */
export const softmaxCrossEntropySum: Operator<None> = {
  name: "softmaxCrossEntropySum",
  infer(inputs) {
    expectLabels("softmaxCrossEntropySum", inputs);
    return [{ type: "float32", shape: [] }];
  },
  gradient(builder, { inputs: [logits, labels] }, [dy]) {
    if (dy === undefined || logits === undefined || labels === undefined) return [];
    return [() => builder.scaleBy(builder.apply(softmaxCrossEntropyGradient, [logits, labels], {}), dy), undefined];
  },
  emit(onnx, { inputs }, names) {
    const picked = pickedLogProbabilities(onnx, at(inputs, 0), names);
    return [onnx.op("Neg", [onnx.op("ReduceSum", [picked], { keepdims: 0 })])];
  },
};

export const softmaxCrossEntropyGradient: Operator<None> = {
  name: "softmaxCrossEntropyGradient",
  infer: (inputs) => [{ type: "float32", shape: at(inputs, 0).shape }],
  emit(onnx, { inputs }, [logits = "", labels = ""]) {
    const probabilities = onnx.op("Exp", [onnx.op("LogSoftmax", [logits], { axis: 1 })]);
    return [onnx.op("Sub", [probabilities, oneHot(onnx, at(inputs, 0), labels)])];
  },
};

/** Row n of [N, K] times the n-th of [N]. */
const scaleRows: Operator<None> = {
  name: "scaleRows",
  infer: (inputs) => [{ type: "float32", shape: at(inputs, 0).shape }],
  emit(onnx, { inputs }, [x = "", factors = ""]) {
    const [rows] = sizes2("scaleRows", at(inputs, 0));
    return [onnx.op("Mul", [x, onnx.reshape(factors, [rows, 1])])];
  },
};

export const argMax: Operator<None> = {
  name: "argMax",
  infer(inputs) {
    expectTypes("argMax", inputs, ["float32"]);
    const [batch] = sizes2("argMax", at(inputs, 0));
    return [{ type: "int32", shape: [batch] }];
  },
  emit: (onnx, _node, inputs) => [onnx.cast(onnx.op("ArgMax", inputs, { axis: 1, keepdims: 0 }), "int32")],
  anyBatch: true,
};

export const countEqual: Operator<None> = {
  name: "countEqual",
  infer(inputs) {
    expectTypes("countEqual", inputs, ["int32", "int32"]);
    const [a, b] = [at(inputs, 0), at(inputs, 1)];
    if (!sameShape(a.shape, b.shape)) {
      throw new Error(`countEqual: shapes must be equal, found ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
    }
    return [{ type: "int32", shape: [] }];
  },
  emit: (onnx, _node, inputs) => {
    const equal = onnx.cast(onnx.op("Equal", inputs), "int32");
    return [onnx.op("ReduceSum", [equal], { keepdims: 0 })];
  },
};
