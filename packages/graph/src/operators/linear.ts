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
      () => builder.apply(product, [dy, weight], { transposeFirst: false, transposeSecond: false }),
      () => builder.apply(product, [dy, x], { transposeFirst: true, transposeSecond: false }),
      () => builder.apply(biasGradient, [dy], {}),
    ];
  },
  emit: (onnx, _node, inputs) => [onnx.op("Gemm", inputs, { transB: 1 })],
  anyBatch: true,
};

/** Dense on columns [in, N], one a sample, and a weight [out, in], and a bias [out] or none: [N, out]. */
export const denseOfColumns: Operator<None> = {
  name: "denseOfColumns",
  infer(inputs) {
    const [features, batch] = sizes2("denseOfColumns", at(inputs, 0));
    return dense.infer([{ type: "float32", shape: [batch, features] }, ...inputs.slice(1)], {});
  },
  gradient(builder, { inputs }, [dy]) {
    if (dy === undefined) return [];
    const [columns, weight] = [at(inputs, 0), at(inputs, 1)];
    const bothTransposed = { transposeFirst: true, transposeSecond: true };
    return [
      () => builder.apply(product, [weight, dy], bothTransposed),
      () => builder.apply(product, [dy, columns], bothTransposed),
      () => builder.apply(biasGradient, [dy], {}),
    ];
  },
  emit(onnx, { inputs }, [columns = "", weight = "", bias]) {
    if (onnx.anyBatch) {
      const rows = onnx.transpose(columns, [1, 0]);
      return [onnx.op("Gemm", bias === undefined ? [rows, weight] : [rows, weight, bias], { transB: 1 })];
    }
    // Weight first: the long matrix is then read as it lies.
    const column = bias === undefined ? [] : [onnx.reshape(bias, [at(at(inputs, 1).shape, 0), 1])];
    return [onnx.transpose(onnx.op("Gemm", [weight, columns, ...column]), [1, 0])];
  },
  anyBatch: true,
};

interface Transposed {
  readonly transposeFirst: boolean;
  readonly transposeSecond: boolean;
}

/** a b, each transposed or not. */
export const product: Operator<Transposed> = {
  name: "product",
  infer(inputs, { transposeFirst, transposeSecond }) {
    expectTypes("product", inputs, ["float32", "float32"]);
    const [a, b] = [at(inputs, 0), at(inputs, 1)];
    const [aRows, aColumns] = sizes2("product", a);
    const [bRows, bColumns] = sizes2("product", b);
    const [rows, inner] = transposeFirst ? [aColumns, aRows] : [aRows, aColumns];
    const [innerOfSecond, columns] = transposeSecond ? [bColumns, bRows] : [bRows, bColumns];
    if (inner !== innerOfSecond) {
      const transposed = `transposed: ${transposeFirst}, ${transposeSecond}`;
      throw new Error(`product: ${shapeText(a.shape)} does not fit ${shapeText(b.shape)}, ${transposed}`);
    }
    return [{ type: "float32", shape: [rows, columns] }];
  },
  emit(onnx, { attributes: { transposeFirst, transposeSecond } }, inputs) {
    const attributes = { ...(transposeFirst && { transA: 1 }), ...(transposeSecond && { transB: 1 }) };
    return [onnx.op("Gemm", inputs, attributes)];
  },
};
