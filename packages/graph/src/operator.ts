import type { GraphBuilder } from "./graph.js";
import type { OnnxWriter } from "./onnx.js";

export type ElementType = "float32" | "uint8" | "int32" | "int64" | "bool";

/** Sizes, outermost axis first. [] is a scalar. */
export type Shape = readonly number[];

/** What an operator needs to know of a value to infer the shape of the next one. */
export interface Signature {
  readonly type: ElementType;
  readonly shape: Shape;
}

/** One tensor of a graph: an input, or an output of one node. Its identity is the object itself; the name is for people. */
export interface Value extends Signature {
  readonly name: string;
}

/** One use of an operator. */
export interface Node<Attributes = unknown> {
  readonly operator: Operator<Attributes>;
  readonly inputs: readonly Value[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
}

/** For each input of a node: how to make its gradient, or undefined where it has none. Called only where it is wanted. */
export type InputGradients = readonly ((() => Value) | undefined)[];

/**
 * Everything about one operator, side by side: adding an operator is one record, one builder method and one row of the
 * table in operators.test.ts.
 */
export interface Operator<Attributes> {
  readonly name: string;

  /** Shapes and types of the outputs. Throws an Error that names the operator and both shapes when inputs do not fit. */
  infer(inputs: readonly Signature[], attributes: Attributes): readonly Signature[];

  /**
   * Gradients of the inputs from the gradients of the outputs (undefined: the loss does not depend on that output).
   * An operator without this method stands only behind the loss, or in a gradient itself.
   */
  gradient?(
    builder: GraphBuilder,
    node: Node<Attributes>,
    outputGradients: readonly (Value | undefined)[],
  ): InputGradients;

  /** Writes the operator as plain ONNX nodes; `inputs` are ONNX names, the result is one ONNX name for each output. */
  emit(onnx: OnnxWriter, node: Node<Attributes>, inputs: readonly string[]): readonly string[];

  /** True where emit writes the batch size into no constant, so that the graph runs with any number of images. */
  readonly anyBatch?: boolean;
}

/** "[16, 3, 32, 32]" */
export function shapeText(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

export function elementCount(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** The i-th of a list whose length is already known to suffice: a wrong index is a mistake in this package. */
export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`graph: nothing at index ${index} of ${list.length}`);
  return item;
}

/** The sizes of a shape that is known to have this many axes, for taking apart by position. */
export function sizes4(operator: string, value: Signature): readonly [number, number, number, number] {
  const [a, b, c, d] = value.shape;
  if (value.shape.length !== 4 || a === undefined || b === undefined || c === undefined || d === undefined) {
    throw new Error(`${operator}: needs four axes, found ${shapeText(value.shape)}`);
  }
  return [a, b, c, d];
}

export function sizes2(operator: string, value: Signature): readonly [number, number] {
  const [a, b] = value.shape;
  if (value.shape.length !== 2 || a === undefined || b === undefined) {
    throw new Error(`${operator}: needs two axes, found ${shapeText(value.shape)}`);
  }
  return [a, b];
}

/** Checks the number of inputs and their element types. */
export function expectTypes(operator: string, inputs: readonly Signature[], types: readonly ElementType[]): void {
  const found = inputs.map((input) => input.type).join(", ");
  const wanted = types.join(", ");
  if (found !== wanted) throw new Error(`${operator}: takes (${wanted}), found (${found})`);
}
