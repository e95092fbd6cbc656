import type { GraphBuilder } from "./graph.js";
import { shapeText } from "./operator.js";
import type { Value } from "./operator.js";

/**
 * Reverse-mode differentiation: appends to the builder the nodes that compute the gradient of `scalar` with respect to
 * each of `wrt`, and returns those gradients in the same order and shapes. A value that the scalar does not depend on
 * gets zeros. Gradients of a value with several users are added in reverse order of the users.
 */
export function differentiate(builder: GraphBuilder, scalar: Value, wrt: readonly Value[]): Value[] {
  if (scalar.type !== "float32" || scalar.shape.length > 0) {
    throw new Error(`differentiate: needs a float32 scalar, found ${scalar.type} ${shapeText(scalar.shape)}`);
  }
  builder.fuse();
  const forward = [...builder.nodes];

  // Values that depend on one of `wrt`: only their gradients are worth computing.
  const depends = new Set<Value>(wrt);
  for (const node of forward) {
    if (node.inputs.some((input) => depends.has(input))) for (const output of node.outputs) depends.add(output);
  }

  const gradients = new Map<Value, Value>([[scalar, builder.constant([1], [])]]);
  for (const node of forward.toReversed()) {
    const outputGradients = node.outputs.map((output) => gradients.get(output));
    if (outputGradients.every((gradient) => gradient === undefined)) continue;
    if (!node.inputs.some((input) => depends.has(input))) continue;
    if (node.operator.gradient === undefined) throw new Error(`differentiate: ${node.operator.name} has no gradient`);
    const inputGradients = node.operator.gradient(builder, node, outputGradients);
    for (const [index, input] of node.inputs.entries()) {
      const make = inputGradients[index];
      if (!depends.has(input) || make === undefined) continue;
      const before = gradients.get(input);
      gradients.set(input, before === undefined ? make() : builder.add(before, make()));
    }
  }
  return wrt.map((value) => gradients.get(value) ?? builder.zeros(value.shape));
}
