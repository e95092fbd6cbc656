import { at, elementCount, expectTypes, shapeText } from "../operator.js";
import type { Operator } from "../operator.js";

type None = Readonly<Record<string, never>>;

/** All elements to a scalar. */
export const sum: Operator<None> = {
  name: "sum",
  infer(inputs) {
    expectTypes("sum", inputs, ["float32"]);
    return [{ type: "float32", shape: [] }];
  },
  gradient(builder, { inputs }, [dy]) {
    const x = at(inputs, 0);
    if (dy === undefined) return [];
    return [() => builder.scaleBy(builder.constant(new Float32Array(elementCount(x.shape)).fill(1), x.shape), dy)];
  },
  emit: (onnx, _node, inputs) => [onnx.op("ReduceSum", inputs, { keepdims: 0 })],
};

/** One number a channel added to [N, C, ...]. */
export const addBias: Operator<None> = {
  name: "addBias",
  infer(inputs) {
    expectTypes("addBias", inputs, ["float32", "float32"]);
    const [x, bias] = [at(inputs, 0), at(inputs, 1)];
    if (x.shape.length < 2 || bias.shape.length !== 1 || x.shape[1] !== bias.shape[0]) {
      throw new Error(
        `addBias: input ${shapeText(x.shape)} does not fit bias ${shapeText(bias.shape)} (one a channel)`,
      );
    }
    return [{ type: "float32", shape: x.shape }];
  },
  gradient(builder, _node, [dy]) {
    return dy === undefined ? [] : [() => dy, () => builder.apply(biasGradient, [dy], {})];
  },
  emit(onnx, { inputs: [x] }, [xName = "", biasName = ""]) {
    const inner = (x?.shape.length ?? 2) - 2;
    const bias = inner === 0 ? biasName : onnx.reshape(biasName, [-1, ...Array.from({ length: inner }, () => 1)]);
    return [onnx.op("Add", [xName, bias])];
  },
  anyBatch: true,
};

/** The sum over everything but channels: [N, C, ...] to [C]. */
export const biasGradient: Operator<None> = {
  name: "biasGradient",
  infer(inputs) {
    expectTypes("biasGradient", inputs, ["float32"]);
    return [{ type: "float32", shape: [at(at(inputs, 0).shape, 1)] }];
  },
  emit(onnx, { inputs }, names) {
    const { shape } = at(inputs, 0);
    const [batch = 1, channels = 1, ...inner] = shape;
    const dy = at(names, 0);
    if (inner.length === 0) return [onnx.reduceSum(dy, [0], "drop")];
    // The last axis first: the only axis that ReduceSum adds at full speed, and with the same bits whatever N is.
    const rows = onnx.reduceSum(onnx.reshape(dy, [batch, channels, elementCount(inner)]), [2], "drop");
    return [onnx.reduceSum(rows, [0], "drop")];
  },
};
