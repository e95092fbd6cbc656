import { inputGradientForm, weightGradientForm } from "../lower.js";
import { at, expectTypes, shapeText, sizes4 } from "../operator.js";
import type { Operator, Shape } from "../operator.js";
import type { OnnxWriter } from "../onnx.js";
import { biasGradient } from "./reduction.js";

/** In pixels, the same in both directions. */
export interface ConvolutionAttributes {
  readonly stride: number;
  readonly padding: number;
}

/** All sizes of one convolution. */
export interface ConvolutionSizes extends ConvolutionAttributes {
  readonly batch: number;
  readonly inputs: number;
  readonly height: number;
  readonly width: number;
  readonly filters: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly outputHeight: number;
  readonly outputWidth: number;
}

export function convolutionSizes(x: Shape, weight: Shape, attributes: ConvolutionAttributes): ConvolutionSizes {
  const [batch, inputs, height, width] = sizes4("convolution", { type: "float32", shape: x });
  const [filters, weightInputs, kernelHeight, kernelWidth] = sizes4("convolution", { type: "float32", shape: weight });
  const { stride, padding } = attributes;
  const fits = `input ${shapeText(x)} does not fit weight ${shapeText(weight)}`;
  if (inputs !== weightInputs) throw new Error(`convolution: ${fits}: ${inputs} and ${weightInputs} input channels`);
  if (!Number.isSafeInteger(stride) || stride < 1 || !Number.isSafeInteger(padding) || padding < 0) {
    throw new Error(
      `convolution: stride ${stride} must be at least 1 and padding ${padding} at least 0, whole numbers`,
    );
  }
  const outputHeight = Math.floor((height + 2 * padding - kernelHeight) / stride) + 1;
  const outputWidth = Math.floor((width + 2 * padding - kernelWidth) / stride) + 1;
  if (outputHeight < 1 || outputWidth < 1) {
    throw new Error(`convolution: ${fits}: the kernel is larger than the input with padding ${padding}`);
  }
  return {
    batch,
    inputs,
    height,
    width,
    filters,
    kernelHeight,
    kernelWidth,
    stride,
    padding,
    outputHeight,
    outputWidth,
  };
}

/** Cross-correlation of x [N, I, H, W] with a weight [O, I, kh, kw], and after fusion a bias [O]. */
export const convolution: Operator<ConvolutionAttributes> = {
  name: "convolution",
  infer(inputs, attributes) {
    expectTypes(
      "convolution",
      inputs,
      inputs.map(() => "float32"),
    );
    const sizes = convolutionSizes(at(inputs, 0).shape, at(inputs, 1).shape, attributes);
    return [{ type: "float32", shape: [sizes.batch, sizes.filters, sizes.outputHeight, sizes.outputWidth] }];
  },
  gradient(builder, { inputs, attributes }, [dy]) {
    if (dy === undefined) return [];
    const [x, weight] = [at(inputs, 0), at(inputs, 1)];
    return [
      () => builder.apply(convolutionInputGradient, [dy, weight], { ...attributes, shape: x.shape }),
      () => builder.apply(convolutionWeightGradient, [x, dy], { ...attributes, shape: weight.shape }),
      () => builder.apply(biasGradient, [dy], {}),
    ];
  },
  emit(onnx, { inputs, attributes: { stride, padding } }, names) {
    const [, , kernelHeight, kernelWidth] = sizes4("convolution", at(inputs, 1));
    return [
      onnx.op("Conv", names, {
        kernel_shape: [kernelHeight, kernelWidth],
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
      }),
    ];
  },
  anyBatch: true,
};

type GradientAttributes = ConvolutionAttributes & { readonly shape: Shape };

/**
 * dx is dy convolved with the kernel turned round in both directions, input and output channels exchanged, dy spread by
 * the stride. Inputs: dy, weight; shape: x's.
 */
export const convolutionInputGradient: Operator<GradientAttributes> = {
  name: "convolutionInputGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { inputs, attributes }, [dy = "", weight = ""]) {
    const sizes = convolutionSizes(attributes.shape, at(inputs, 1).shape, attributes);
    const form = inputGradientForm(sizes);
    if (form === "transposed") return [inputGradientTransposed(onnx, sizes, dy, weight)];
    return [inputGradientFlipped(onnx, sizes, dy, weight)];
  },
};

/** Stride 1: an ordinary convolution with the turned kernel. */
export function inputGradientFlipped(onnx: OnnxWriter, sizes: ConvolutionSizes, dy: string, weight: string): string {
  const { kernelHeight, kernelWidth, padding } = sizes;
  const single = kernelHeight === 1 && kernelWidth === 1;
  const far = -1_000_000;
  const turned = single ? weight : onnx.slice(weight, [-1, -1], [far, far], [2, 3], [-1, -1]);
  const [vertical, horizontal] = [kernelHeight - 1 - padding, kernelWidth - 1 - padding];
  return onnx.op("Conv", [dy, onnx.transpose(turned, [1, 0, 2, 3])], {
    kernel_shape: [kernelHeight, kernelWidth],
    strides: [1, 1],
    pads: [vertical, horizontal, vertical, horizontal],
  });
}

function inputGradientTransposed(onnx: OnnxWriter, sizes: ConvolutionSizes, dy: string, weight: string): string {
  const { height, width, kernelHeight, kernelWidth, stride, padding, outputHeight, outputWidth } = sizes;
  // Pixels behind the last window: they took no part and get zero.
  const restHeight = height - ((outputHeight - 1) * stride + kernelHeight - 2 * padding);
  const restWidth = width - ((outputWidth - 1) * stride + kernelWidth - 2 * padding);
  return onnx.op("ConvTranspose", [dy, weight], {
    kernel_shape: [kernelHeight, kernelWidth],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    output_padding: [restHeight, restWidth],
  });
}

/** dw[o, i, u, v] = sum over images and positions of dy[o] with x[i] seen through tap (u, v). Inputs: x, dy. */
export const convolutionWeightGradient: Operator<GradientAttributes> = {
  name: "convolutionWeightGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { inputs, attributes }, [x = "", dy = ""]) {
    const sizes = convolutionSizes(at(inputs, 0).shape, attributes.shape, attributes);
    switch (weightGradientForm(sizes)) {
      case "perImage":
        return [weightGradientPerImage(onnx, sizes, x, dy)];
      case "perTap":
        return [weightGradientPerTap(onnx, sizes, x, dy)];
    }
  },
};

/** x seen through each tap: kernelHeight * kernelWidth slices of the padded x, rows first. `layout` is x's own. */
function taps(
  onnx: OnnxWriter,
  sizes: ConvolutionSizes,
  x: string,
  layout: "channels first" | "channels last",
): string[] {
  const { kernelHeight, kernelWidth, stride, padding, outputHeight, outputWidth } = sizes;
  const axes = layout === "channels first" ? [2, 3] : [1, 2];
  const widths = [0, 1, 2, 3].map((axis) => (axes.includes(axis) ? padding : 0));
  const padded = onnx.pad(x, widths, widths);
  if (kernelHeight === 1 && kernelWidth === 1 && stride === 1) return [padded];
  const result: string[] = [];
  for (let u = 0; u < kernelHeight; u++) {
    for (let v = 0; v < kernelWidth; v++) {
      const ends = [u + (outputHeight - 1) * stride + 1, v + (outputWidth - 1) * stride + 1];
      result.push(onnx.slice(padded, [u, v], ends, axes, stride === 1 ? undefined : [stride, stride]));
    }
  }
  return result;
}

/** One product an image, then the sum over images: [O, P] x [P, taps * I] each. */
function weightGradientPerImage(onnx: OnnxWriter, sizes: ConvolutionSizes, x: string, dy: string): string {
  const { batch, inputs, filters, kernelHeight, kernelWidth, outputHeight, outputWidth } = sizes;
  const positions = outputHeight * outputWidth;
  const columns = kernelHeight * kernelWidth * inputs;
  const joined = onnx.op("Concat", taps(onnx, sizes, x, "channels first"), { axis: 1 });
  const patches = onnx.transpose(onnx.reshape(joined, [batch, columns, positions]), [0, 2, 1]);
  const products = onnx.op("MatMul", [onnx.reshape(dy, [batch, filters, positions]), patches]);
  const total = onnx.reduceSum(products, [0], "drop");
  const byTap = onnx.reshape(total, [filters, kernelHeight, kernelWidth, inputs]);
  return onnx.transpose(byTap, [0, 3, 1, 2]);
}

/** One product a tap, channels last: no patches are stored side by side. */
function weightGradientPerTap(onnx: OnnxWriter, sizes: ConvolutionSizes, x: string, dy: string): string {
  const { batch, inputs, filters, kernelHeight, kernelWidth, outputHeight, outputWidth } = sizes;
  const rows = batch * outputHeight * outputWidth;
  const last = onnx.transpose(x, [0, 2, 3, 1]);
  const gradients = onnx.reshape(onnx.transpose(dy, [1, 0, 2, 3]), [filters, rows]);
  const products = taps(onnx, sizes, last, "channels last").map((tap) => {
    const product = onnx.op("Gemm", [gradients, onnx.reshape(tap, [rows, inputs])]);
    return onnx.reshape(product, [filters, inputs, 1]);
  });
  const joined = products.length === 1 ? at(products, 0) : onnx.op("Concat", products, { axis: 2 });
  return onnx.reshape(joined, [filters, inputs, kernelHeight, kernelWidth]);
}
