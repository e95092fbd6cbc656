import { prefersWindowForm } from "./lower.js";
import { at, sameShape } from "./operator.js";
import type { Node, Operator, Value } from "./operator.js";
import { convolution } from "./operators/convolution.js";
import type { ConvolutionAttributes } from "./operators/convolution.js";
import { relu } from "./operators/elementwise.js";
import { fitsImageWindow, imageConvolutionReluMaxPool } from "./operators/image-window.js";
import { dense, denseOfColumns } from "./operators/linear.js";
import { reshape } from "./operators/movement.js";
import { castNormalise } from "./operators/normalisation.js";
import { maxPool } from "./operators/pooling.js";
import type { PoolAttributes } from "./operators/pooling.js";
import { addBias } from "./operators/reduction.js";
import { convolutionReluMaxPool, fitsWindowForm } from "./operators/window.js";

/**
 * Joins layers that are faster as one node, before differentiation, so that the joint node's own gradient is used:
 *   convolution 3x3 -> [bias] -> relu -> maxPool 2 (or pool before relu)   one node, where the window form is faster
 *   castNormalise -> these layers                                         one node as well, with images last
 *   that node -> flatten -> dense                                         dense on its columns
 *   convolution or dense -> bias                                          one node with a third input
 *   relu -> maxPool     pool first: they commute, gradients included, and ReLU then works on fewer values
 * A node is replaced in place and keeps its outputs; nodes that are then unused are left for `finish` to drop. Layers
 * whose inner values are used elsewhere, or handed out, stay apart.
 */
export function fusePatterns(nodes: readonly Node[], outputs: ReadonlySet<Value>): Node[] {
  const context = new Context(nodes, outputs);
  return nodes.flatMap(
    (node) =>
      joinWindow(context, node) ??
      joinColumns(context, node) ??
      joinBias(context, node) ??
      poolBeforeRelu(context, node) ??
      node,
  );
}

/** Who makes each value, and which values have exactly one user. */
class Context {
  readonly #producers = new Map<Value, Node>();
  readonly #uses = new Map<Value, number>();
  /** Nodes joined from the image on, by their y. */
  readonly imageWindows = new Map<Value, Node>();

  constructor(nodes: readonly Node[], outputs: ReadonlySet<Value>) {
    for (const node of nodes) {
      for (const output of node.outputs) this.#producers.set(output, node);
      for (const input of node.inputs) this.#uses.set(input, (this.#uses.get(input) ?? 0) + 1);
    }
    for (const output of outputs) this.#uses.set(output, (this.#uses.get(output) ?? 0) + 1);
  }

  /** The node that makes this node's first input, if it is of this operator and nothing else uses the value. */
  before<Attributes>(node: Node | undefined, operator: Operator<Attributes>): Node<Attributes> | undefined {
    const value = node?.inputs[0];
    if (value === undefined || !this.isUsedOnce(value)) return undefined;
    const producer = this.#producers.get(value);
    return isOf(producer, operator) ? producer : undefined;
  }

  isUsedOnce(value: Value): boolean {
    return this.#uses.get(value) === 1;
  }
}

function isOf<Attributes>(node: Node | undefined, operator: Operator<Attributes>): node is Node<Attributes> {
  return node?.operator === (operator as Operator<unknown>);
}

function joinBias(context: Context, node: Node): Node | undefined {
  if (!isOf(node, addBias)) return undefined;
  const before = context.before(node, convolution) ?? context.before(node, dense);
  if (before === undefined || before.inputs.length !== 2) return undefined;
  return { ...(before as Node), inputs: [...before.inputs, at(node.inputs, 1)], outputs: node.outputs };
}

function poolBeforeRelu(context: Context, node: Node): Node[] | undefined {
  if (!isOf(node, maxPool)) return undefined;
  const before = context.before(node, relu);
  if (before === undefined) return undefined;
  const y = at(node.outputs, 0);
  const pooled: Value = { ...y, name: `${y.name}:0` };
  return [
    { ...(node as Node), inputs: before.inputs, outputs: [pooled] },
    { ...(before as Node), inputs: [pooled], outputs: node.outputs },
  ];
}

function joinWindow(context: Context, node: Node): Node | undefined {
  const layers = windowLayers(context, node);
  if (layers === undefined) return undefined;
  const { kernel, stride, padding } = layers.pool.attributes;
  if (kernel !== 2 || stride !== 2 || padding !== 0) return undefined;
  const { attributes, inputs } = layers.convolved;
  if (attributes.stride !== 1 || attributes.padding !== 1) return undefined;
  const [x, weight] = [at(inputs, 0), at(inputs, 1)];
  if (!fitsWindowForm(x.shape, weight.shape) || !prefersWindowForm(x.shape)) return undefined;
  const parameters = layers.bias === undefined ? inputs.slice(1) : [...inputs.slice(1), layers.bias];
  const y = at(node.outputs, 0);
  const normalise = context.before(layers.convolved, castNormalise);
  const image = normalise?.inputs[0];
  if (normalise === undefined || image === undefined || !fitsImageWindow(image.shape)) {
    return replacement(convolutionReluMaxPool, [x, ...parameters], {}, y);
  }
  const joined = replacement(imageConvolutionReluMaxPool, [image, ...parameters], normalise.attributes, y);
  context.imageWindows.set(y, joined);
  return joined;
}

/** A node whose first output is `y`, a value that is already in use. */
function replacement<Attributes>(
  operator: Operator<Attributes>,
  inputs: readonly Value[],
  attributes: Attributes,
  y: Value,
): Node {
  const outputs = operator
    .infer(inputs, attributes)
    .map((signature, index) => (index === 0 ? y : { name: `${y.name}:${index}`, ...signature }));
  const node: Node<Attributes> = { operator, inputs, attributes, outputs };
  return node;
}

/** Dense, with its bias, on what such a node gives as columns, where nothing else uses the layers between. */
function joinColumns(context: Context, node: Node): Node | undefined {
  const bias = isOf(node, addBias) ? at(node.inputs, 1) : undefined;
  const product = bias === undefined ? node : context.before(node, dense);
  if (!isOf(product, dense)) return undefined;
  const flattened = context.before(product, reshape);
  const y = flattened?.inputs[0];
  if (y === undefined || !context.isUsedOnce(y)) return undefined;
  const columns = context.imageWindows.get(y)?.outputs[1];
  if (columns === undefined || !sameShape(flattened?.attributes.shape ?? [], columns.shape.toReversed()))
    return undefined;
  const parameters = bias === undefined ? product.inputs.slice(1) : [...product.inputs.slice(1), bias];
  return { ...node, operator: denseOfColumns, inputs: [columns, ...parameters], attributes: {} };
}

interface WindowLayers {
  readonly convolved: Node<ConvolutionAttributes>;
  /** A bias that is still a node of its own. */
  readonly bias: Value | undefined;
  readonly pool: Node<PoolAttributes>;
}

/** The layers that end in this node, ReLU and pool in either order (they commute, and so do their gradients). */
function windowLayers(context: Context, last: Node): WindowLayers | undefined {
  const first = isOf(last, maxPool)
    ? context.before(last, relu)
    : isOf(last, relu)
      ? context.before(last, maxPool)
      : undefined;
  const pool = isOf(last, maxPool) ? last : isOf(first, maxPool) ? first : undefined;
  if (first === undefined || pool === undefined) return undefined;
  const biased = context.before(first, addBias);
  const convolved = context.before(biased ?? first, convolution);
  return convolved === undefined ? undefined : { convolved, bias: biased?.inputs[1], pool };
}
