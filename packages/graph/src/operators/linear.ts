import { at, expectTypes, shapeText, sizes2 } from "../operator.js";
import type { Operator } from "../operator.js";
import { biasGradient } from "./reduction.js";

type None = Readonly<Record<string, never>>;

/** [N, in] and a weight [out, in], and after fusion a bias [out]: [N, out]. */
export const dense: Operator<None> = {
  name: "dense",
  infer(inputs) {
    expectTypes("dense", inputs, inputs.length === 3 ? ["float32", "float32", "float32"] : ["float32", "float32"]);
    const [x, weight] = [at(inputs, 0), at(inputs, 1)];
    const [batch, features] = sizes2("dense", x);
    const [units, weightFeatures] = sizes2("dense", weight);
    if (features !== weightFeatures) {
      throw new Error(`dense: input ${shapeText(x.shape)} does not fit weight ${shapeText(weight.shape)} (out, in)`);
    }
    return [{ type: "float32", shape: [batch, units] }];
  },
  gradient(builder, { inputs }, [dy]) {
    if (dy === undefined) return [];
    const [x, weight] = [at(inputs, 0), at(inputs, 1)];
    return [
      () => builder.apply(product, [dy, weight], { transposeFirst: false }),
      () => builder.apply(product, [dy, x], { transposeFirst: true }),
      () => builder.apply(biasGradient, [dy], {}),
    ];
  },
  emit: (onnx, _node, inputs) => [onnx.op("Gemm", inputs, { transB: 1 })],
  anyBatch: true,
};

/** a b, or a' b. */
export const product: Operator<{ readonly transposeFirst: boolean }> = {
  name: "product",
  infer(inputs, { transposeFirst }) {
    expectTypes("product", inputs, ["float32", "float32"]);
    const [a, b] = [at(inputs, 0), at(inputs, 1)];
    const [aRows, aColumns] = sizes2("product", a);
    const [bRows, bColumns] = sizes2("product", b);
    const [rows, inner] = transposeFirst ? [aColumns, aRows] : [aRows, aColumns];
    if (inner !== bRows) {
      throw new Error(
        `product: ${shapeText(a.shape)} does not fit ${shapeText(b.shape)}, first transposed: ${transposeFirst}`,
      );
    }
    return [{ type: "float32", shape: [rows, bColumns] }];
  },
  emit: (onnx, { attributes }, inputs) => [onnx.op("Gemm", inputs, attributes.transposeFirst ? { transA: 1 } : {})],
};
