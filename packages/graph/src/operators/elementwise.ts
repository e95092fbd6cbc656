import { at, expectTypes, sameShape, shapeText } from "../operator.js";
import type { Operator, Signature } from "../operator.js";

type None = Readonly<Record<string, never>>;

function expectSameShapes(operator: string, inputs: readonly Signature[]): Signature {
  const [a, b] = [at(inputs, 0), at(inputs, 1)];
  if (!sameShape(a.shape, b.shape)) {
    throw new Error(`${operator}: shapes must be equal, found ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  }
  return a;
}

export const add: Operator<None> = {
  name: "add",
  infer(inputs) {
    expectTypes("add", inputs, ["float32", "float32"]);
    return [{ type: "float32", shape: expectSameShapes("add", inputs).shape }];
  },
  gradient(_builder, _node, [dy]) {
    return dy === undefined ? [] : [() => dy, () => dy];
  },
  emit: (onnx, _node, inputs) => [onnx.op("Add", inputs)],
  anyBatch: true,
};

export const mul: Operator<None> = {
  name: "mul",
  infer(inputs) {
    expectTypes("mul", inputs, ["float32", "float32"]);
    return [{ type: "float32", shape: expectSameShapes("mul", inputs).shape }];
  },
  gradient(builder, { inputs }, [dy]) {
    return dy === undefined ? [] : [() => builder.mul(dy, at(inputs, 1)), () => builder.mul(dy, at(inputs, 0))];
  },
  emit: (onnx, _node, inputs) => [onnx.op("Mul", inputs)],
  anyBatch: true,
};

/** x times a scalar value. Stands behind the loss only, where the scalar is the gradient of a sum. */
export const scaleBy: Operator<None> = {
  name: "scaleBy",
  infer(inputs) {
    expectTypes("scaleBy", inputs, ["float32", "float32"]);
    const [x, scalar] = [at(inputs, 0), at(inputs, 1)];
    if (scalar.shape.length > 0) {
      throw new Error(`scaleBy: needs a scalar, found ${shapeText(scalar.shape)} for x ${shapeText(x.shape)}`);
    }
    return [{ type: "float32", shape: x.shape }];
  },
  emit: (onnx, _node, inputs) => [onnx.op("Mul", inputs)],
};

export const relu: Operator<None> = {
  name: "relu",
  infer(inputs) {
    expectTypes("relu", inputs, ["float32"]);
    return [{ type: "float32", shape: at(inputs, 0).shape }];
  },
  gradient(builder, { outputs }, [dy]) {
    return dy === undefined ? [] : [() => builder.mul(dy, builder.isPositive(at(outputs, 0)))];
  },
  emit: (onnx, _node, inputs) => [onnx.op("Relu", inputs)],
  anyBatch: true,
};

export const isPositive: Operator<None> = {
  name: "isPositive",
  infer(inputs) {
    expectTypes("isPositive", inputs, ["float32"]);
    return [{ type: "float32", shape: at(inputs, 0).shape }];
  },
  emit: (onnx, _node, inputs) => [onnx.mask("Greater", at(inputs, 0), onnx.scalar(0))],
};

export const dropout: Operator<{ readonly rate: number }> = {
  name: "dropout",
  infer(inputs, { rate }) {
    expectTypes("dropout", inputs, ["float32", "uint8"]);
    if (!(rate >= 0 && rate < 1)) throw new Error(`dropout: the rate must be in [0, 1), found ${rate}`);
    return [{ type: "float32", shape: expectSameShapes("dropout", inputs).shape }];
  },
  gradient(builder, { inputs, attributes }, [dy]) {
    return dy === undefined ? [] : [() => builder.dropout(dy, at(inputs, 1), attributes), undefined];
  },
  emit(onnx, { attributes }, inputs) {
    const kept = onnx.op("Mul", [onnx.cast(at(inputs, 1), "float32"), onnx.scalar(1 / (1 - attributes.rate))]);
    return [onnx.op("Mul", [at(inputs, 0), kept])];
  },
};
