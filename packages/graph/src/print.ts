import type { Graph } from "./graph.js";
import { shapeText } from "./operator.js";
import type { Value } from "./operator.js";
import type { OnnxGraph, OnnxNode, OnnxPort } from "./onnx.js";

/** At most this many numbers of a constant are written out; the rest is summarised. */
const constantValuesMax = 64;

/** A graph as text, one line an input, node, or output: for people, golden tests and digests. */
export function print(graph: Graph | OnnxGraph): string {
  const lines = "constants" in graph ? onnxLines(graph) : graphLines(graph);
  return `${[`graph ${graph.name}`, ...lines].join("\n")}\n`;
}

function graphLines(graph: Graph): string[] {
  const typed = (value: Value): string => `${value.name}: ${value.type} ${shapeText(value.shape)}`;
  return [
    ...graph.inputs.map((input) => `input ${typed(input)}`),
    ...graph.nodes.map((node) => {
      const attributes = attributesText(node.attributes);
      const inputs = node.inputs.map((input) => input.name).join(", ");
      return `${node.outputs.map(typed).join(", ")} = ${node.operator.name}(${inputs})${attributes}`;
    }),
    ...graph.outputs.map(({ name, value }) => `output ${name} = ${value.name}`),
  ];
}

function onnxLines(graph: OnnxGraph): string[] {
  const typed = (port: OnnxPort): string => `${port.name}: ${port.type} [${port.shape.join(", ")}]`;
  return [
    ...graph.inputs.map((input) => `input ${typed(input)}`),
    ...graph.constants.map(({ name, type, shape, values }) => {
      return `constant ${name}: ${type} ${shapeText(shape)} = ${valuesText(values)}`;
    }),
    ...graph.nodes.map((node: OnnxNode) => {
      const attributes = attributesText(node.attributes);
      return `${node.outputs.join(", ")} = ${node.type}(${node.inputs.join(", ")})${attributes}`;
    }),
    ...graph.outputs.map((output) => `output ${typed(output)}`),
  ];
}

function attributesText(attributes: unknown): string {
  const text = JSON.stringify(attributes, (_, value: unknown) =>
    value instanceof Float32Array || value instanceof Float64Array ? valuesText(value) : value,
  );
  return text === undefined || text === "{}" ? "" : ` ${text}`;
}

function valuesText(values: ArrayLike<number>): string {
  const first = Array.from({ length: Math.min(values.length, constantValuesMax) }, (_, index) => values[index] ?? 0);
  if (values.length <= constantValuesMax) return first.join(" ");
  return `${first.join(" ")} ... ${values.length} values, sum ${Array.from(values).reduce((a, b) => a + b, 0)}`;
}
