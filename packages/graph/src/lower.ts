import type { Graph } from "./graph.js";
import { at } from "./operator.js";
import type { Shape, Value } from "./operator.js";
import { OnnxWriter } from "./onnx.js";
import type { OnnxGraph, OnnxPort } from "./onnx.js";
import type { ConvolutionSizes } from "./operators/convolution.js";
import type { PoolAttributes } from "./operators/pooling.js";

/**
 * Writes a graph as plain ONNX operators.
 *
 * "fixed" (default): the measured fast form of every operator for these exact shapes.
 * "free": the graph was built with N = 1, and axis 0 of the images (uint8 inputs) and of every output becomes the symbol
 * "N", so that it runs with any number of images. Forward operators only; one that needs to know N is refused by name.
 */
export function lower(graph: Graph, options: { readonly batch?: "fixed" | "free" } = {}): OnnxGraph {
  const anyBatch = options.batch === "free";
  const onnx = new OnnxWriter({ anyBatch });
  const names = new Map<Value, string>(graph.inputs.map((input) => [input, input.name]));
  const nameOf = (value: Value): string => {
    const name = names.get(value);
    if (name === undefined) throw new Error(`lower: ${value.name} belongs to another graph`);
    return name;
  };
  for (const node of graph.nodes) {
    if (anyBatch && node.operator.anyBatch !== true) {
      throw new Error(`lower: ${node.operator.name} needs a fixed number of images`);
    }
    const outputs = node.operator.emit(onnx, node, node.inputs.map(nameOf));
    for (const [index, output] of outputs.entries()) names.set(at(node.outputs, index), output);
  }
  const port = (name: string, { type, shape }: Value, batched: boolean): OnnxPort => ({
    name,
    type,
    shape: anyBatch && batched ? shape.map((size, axis) => (axis === 0 ? "N" : size)) : shape,
  });
  return onnx.finish(
    graph.name,
    graph.inputs.map((input) => port(input.name, input, input.type === "uint8")),
    graph.outputs.map(({ name, value }) => ({ port: port(name, value, true), value: nameOf(value) })),
  );
}

/*
 * Which form for which shape. Medians of forward and all gradients together, ms for one micro-batch of 16, forms
 * interleaved in one process: onnxruntime-node 1.30, one thread, AMD EPYC with AVX-512, other work beside. Within 10 %: noise.
 */

/**
 * Whether convolution 3x3, ReLU and 2x2 max-pool are one window form (operators/window.ts), or layers of their own.
 *   channels > filters, size   1>16, 28   3>16, 32   3>16, 64   8>16, 32   12>16, 32   16>32, 32   32>64, 16   64>128, 8
 *   window form                0.51       1.07       5.1        4.0        4.9         10.3        9.6         8.1
 *   layers                     1.04       1.72       8.4        4.4        5.2         9.7         8.1         6.5
 */
export function prefersWindowForm(x: Shape): boolean {
  const [, channels = 0] = x;
  return channels <= 12;
}

export type InputGradientForm = "flipped" | "transposed";

/**
 * Stride 1: an ordinary Conv with the turned kernel. With AVX-512 ConvTranspose is within 7 % of it either way; with
 * AVX2 it took twice as long at 64 channels, 32x32. Larger strides: ConvTranspose, a fifth of the time of a convolution
 * with zeros in between.
 */
export function inputGradientForm({ stride, padding, kernelHeight, kernelWidth }: ConvolutionSizes): InputGradientForm {
  // The turned convolution pads by kernel - 1 - padding, which cannot be negative.
  const paddingFits = padding < kernelHeight && padding < kernelWidth;
  return stride === 1 && paddingFits ? "flipped" : "transposed";
}

export type WeightGradientForm = "perImage" | "perTap";

/**
 *   channels > filters, size   3>32, 32   3>32, 64   6>16, 32   8>16, 32   64>64, 32   64>128, 16   256>256, 8   512>512, 4
 *   kernel, stride             3          7, 2       3          5          3           3, 2         3            3
 *   per image                  1.8        10.2       2.0        6.7        39          7.7          42           86
 *   per tap                    3.4        21.9       2.3        6.1        38          4.5          30           31
 * One product over patches of all images, channels last, was nowhere faster than per tap.
 */
export function weightGradientForm({ inputs }: ConvolutionSizes): WeightGradientForm {
  return inputs < 8 ? "perImage" : "perTap";
}

export type MaxPoolGradientForm = "tournament" | "unpool" | "scatter";

/**
 * MaxPool with Indices takes nine times as long as without (2.5 ms against 0.28 for 16x32x32x32), so 2x2 windows compare
 * values: 1.5 ms for everything, against 3.1 by Indices and MaxUnpool. MaxUnpool overwrites where windows share a
 * maximum, so overlapping windows add by ScatterElements.
 */
export function maxPoolGradientForm(x: Shape, { kernel, stride, padding }: PoolAttributes): MaxPoolGradientForm {
  const [, , height = 1, width = 1] = x;
  if (kernel === 2 && stride === 2 && padding === 0 && height % 2 === 0 && width % 2 === 0) return "tournament";
  return stride >= kernel && padding === 0 ? "unpool" : "scatter";
}
