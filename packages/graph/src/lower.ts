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
 * "free": the graph was built with N = 1, and axis 0 of every input and output becomes the symbol "N", so that it runs
 * with any number of images. Forward operators only; an operator that needs to know N is refused by name.
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
  const port = (name: string, { type, shape }: Value): OnnxPort => ({
    name,
    type,
    shape: anyBatch ? shape.map((size, axis) => (axis === 0 ? "N" : size)) : shape,
  });
  return onnx.finish(
    graph.name,
    graph.inputs.map((input) => port(input.name, input)),
    graph.outputs.map(({ name, value }) => ({ port: port(name, value), value: nameOf(value) })),
  );
}

/*
 * Which form for which shape.
 */

/** Whether convolution 3x3, ReLU and 2x2 max-pool are one window form (operators/window.ts), or layers of their own. */
export function prefersWindowForm(x: Shape, _weight: Shape): boolean {
  const [, channels = 0] = x;
  return channels <= 16;
}

export type InputGradientForm = "flipped" | "transposed";

export function inputGradientForm(sizes: ConvolutionSizes): InputGradientForm {
  const { stride, padding, kernelHeight, kernelWidth } = sizes;
  const paddingFits = padding < kernelHeight && padding < kernelWidth;
  return stride === 1 && paddingFits ? "flipped" : "transposed";
}

export type WeightGradientForm = "perImage" | "positions" | "perTap";

export function weightGradientForm(sizes: ConvolutionSizes): WeightGradientForm {
  return sizes.inputs <= 4 ? "perImage" : "positions";
}

export type MaxPoolGradientForm = "tournament" | "unpool" | "scatter";

export function maxPoolGradientForm(x: Shape, { kernel, stride, padding }: PoolAttributes): MaxPoolGradientForm {
  const [, , height = 1, width = 1] = x;
  if (kernel === 2 && stride === 2 && padding === 0 && height % 2 === 0 && width % 2 === 0) return "tournament";
  return stride >= kernel && padding === 0 ? "unpool" : "scatter";
}
