import { fusePatterns } from "./fuse.js";
import { at, elementCount, shapeText } from "./operator.js";
import type { ElementType, Node, Operator, Shape, Value } from "./operator.js";
import { convolution } from "./operators/convolution.js";
import type { ConvolutionAttributes } from "./operators/convolution.js";
import { add, dropout, isPositive, mul, relu, scaleBy } from "./operators/elementwise.js";
import { dense } from "./operators/linear.js";
import { argMax, countEqual, softmax, softmaxCrossEntropy, softmaxCrossEntropySum } from "./operators/loss.js";
import { concat, constant, reshape } from "./operators/movement.js";
import { batchNormInference, batchNormTraining, castNormalise } from "./operators/normalisation.js";
import type { ChannelStatistics } from "./operators/normalisation.js";
import { averagePool, globalAveragePool, maxPool } from "./operators/pooling.js";
import type { PoolAttributes } from "./operators/pooling.js";
import { addBias, sum } from "./operators/reduction.js";

/** A finished graph: nodes in an order that can be run, without what no output needs. Input of `lower` and `print`. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly GraphOutput[];
  readonly nodes: readonly Node[];
}

export interface GraphOutput {
  readonly name: string;
  readonly value: Value;
}

/**
 * Writes a graph, one method an operator. Shapes are static: one micro-batch of a fixed size, N its number of images.
 * The same calls in the same order give the same graph, names included; the same node asked for twice is made once.
 * Every method throws an Error that names the operator and both shapes when its inputs do not fit.
 */
export class GraphBuilder {
  readonly name: string;
  readonly #inputs: Value[] = [];
  readonly #outputs: GraphOutput[] = [];
  readonly #nodes: Node[] = [];
  readonly #made = new Map<string, Node>();
  #serial = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Nodes so far, in the order of their making. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** A tensor given at each run. Its name is the ONNX graph's input name. */
  input(name: string, type: ElementType, shape: Shape): Value {
    if (this.#inputs.some((input) => input.name === name)) throw new Error(`graph: two inputs are named ${name}`);
    if (/^[tc][0-9]+$/.test(name)) throw new Error(`graph: the name ${name} is kept for values inside the graph`);
    checkSizes(`input ${name}`, shape);
    const value: Value = { name, type, shape: [...shape] };
    this.#inputs.push(value);
    return value;
  }

  /** A float32 tensor that is part of the graph. */
  constant(values: ArrayLike<number>, shape: Shape): Value {
    return this.apply(constant, [], { values, shape });
  }

  zeros(shape: Shape): Value {
    return this.constant(new Float32Array(elementCount(shape)), shape);
  }

  /** Hands a value out under this name. Outputs keep the order in which they were declared. */
  output(name: string, value: Value): void {
    if (this.#outputs.some((output) => output.name === name)) throw new Error(`graph: two outputs are named ${name}`);
    if (this.#inputs.some((input) => input.name === name)) {
      throw new Error(`graph: ${name} is the name of an input and cannot name an output`);
    }
    this.#outputs.push({ name, value });
  }

  /** The graph for `lower`. */
  finish(): Graph {
    this.fuse();
    const needed = new Set(this.#outputs.map((output) => output.value));
    const nodes: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((output) => needed.has(output))) continue;
      for (const input of node.inputs) needed.add(input);
      nodes.push(node);
    }
    return { name: this.name, inputs: [...this.#inputs], outputs: [...this.#outputs], nodes: nodes.toReversed() };
  }

  /** Joins layers that are faster as one operator; called by `differentiate` and `finish`. */
  fuse(): void {
    const kept = fusePatterns(this.#nodes, new Set(this.#outputs.map((output) => output.value)));
    this.#nodes.splice(0, this.#nodes.length, ...kept);
  }

  /** Adds a node of any operator; its outputs, in the operator's order. */
  applyAll<Attributes>(
    operator: Operator<Attributes>,
    inputs: readonly Value[],
    attributes: Attributes,
  ): readonly Value[] {
    // Constants are told apart by their object: their values may be a whole model's parameters.
    const key =
      operator.name === constant.name
        ? undefined
        : `${operator.name}(${inputs.map((input) => input.name).join(", ")}) ${JSON.stringify(attributes)}`;
    const known = key === undefined ? undefined : this.#made.get(key);
    if (known !== undefined) return known.outputs;
    const signatures = operator.infer(inputs, attributes);
    const serial = ++this.#serial;
    const outputs = signatures.map(({ type, shape }, index): Value => ({
      name: signatures.length === 1 ? `${operator.name}${serial}` : `${operator.name}${serial}:${index}`,
      type,
      shape,
    }));
    const node: Node<Attributes> = { operator, inputs: [...inputs], attributes, outputs };
    this.#nodes.push(node);
    if (key !== undefined) this.#made.set(key, node);
    return outputs;
  }

  /** `applyAll` for an operator with one output. */
  apply<Attributes>(operator: Operator<Attributes>, inputs: readonly Value[], attributes: Attributes): Value {
    return at(this.applyAll(operator, inputs, attributes), 0);
  }

  /** uint8 [N, H, W, C] to float32 [N, C, H, W]: (x / 255 - mean) / std, one mean and std a channel. */
  castNormalise(image: Value, statistics: ChannelStatistics): Value {
    return this.apply(castNormalise, [image], statistics);
  }

  /** Cross-correlation of [N, I, H, W] with a weight [O, I, kernel height, kernel width], as torch.nn.functional.conv2d. */
  convolution(x: Value, weight: Value, attributes: ConvolutionAttributes): Value {
    return this.apply(convolution, [x, weight], attributes);
  }

  /** Adds one number a channel to [N, C, ...]. */
  addBias(x: Value, bias: Value): Value {
    return this.apply(addBias, [x, bias], {});
  }

  relu(x: Value): Value {
    return this.apply(relu, [x], {});
  }

  /** 1.0 where x is above 0, else 0.0. */
  isPositive(x: Value): Value {
    return this.apply(isPositive, [x], {});
  }

  /** [N, C, H, W]; the gradient goes to the first of equals, in row order. */
  maxPool(x: Value, attributes: PoolAttributes): Value {
    return this.apply(maxPool, [x], attributes);
  }

  /** [N, C, H, W]; padded zeros count in the mean, as PyTorch's default has it. */
  averagePool(x: Value, attributes: PoolAttributes): Value {
    return this.apply(averagePool, [x], attributes);
  }

  /** [N, C, H, W] to [N, C, 1, 1]. */
  globalAveragePool(x: Value): Value {
    return this.apply(globalAveragePool, [x], {});
  }

  /** [N, ...] to [N, product of the rest]. */
  flatten(x: Value): Value {
    const [batch = 1, ...rest] = x.shape;
    return this.reshape(x, [batch, rest.reduce((product, size) => product * size, 1)]);
  }

  reshape(x: Value, shape: Shape): Value {
    return this.apply(reshape, [x], { shape: [...shape] });
  }

  /** [N, in] times a weight [out, in]: [N, out]. */
  dense(x: Value, weight: Value): Value {
    return this.apply(dense, [x, weight], {});
  }

  /** x * mask / (1 - rate); mask: uint8 of x's shape, 1 keeps and 0 drops. rate in [0, 1). */
  dropout(x: Value, mask: Value, attributes: { readonly rate: number }): Value {
    return this.apply(dropout, [x, mask], attributes);
  }

  /**
   * Normalises [N, C, ...] by the batch's own mean and biased variance. Also gives mean and unbiased variance (divided by
   * n - 1, n values a channel) for the running statistics; no gradient flows through those two. n = 1 is refused.
   */
  batchNormTraining(
    x: Value,
    scale: Value,
    shift: Value,
    attributes: { readonly epsilon: number },
  ): { readonly y: Value; readonly mean: Value; readonly variance: Value } {
    const sharing = this.#nodes.find(
      ({ operator, inputs }) =>
        operator.name === batchNormTraining.name && (inputs.includes(scale) || inputs.includes(shift)),
    );
    if (sharing !== undefined && sharing.inputs[0] !== x) {
      throw new Error(`batchNormTraining: ${scale.name} and ${shift.name} already belong to another batch norm`);
    }
    const outputs = this.applyAll(batchNormTraining, [x, scale, shift], attributes);
    return { y: at(outputs, 0), mean: at(outputs, 1), variance: at(outputs, 2) };
  }

  /** (x - mean) / sqrt(variance + epsilon) * scale + shift, one of each a channel. */
  batchNormInference(
    x: Value,
    scale: Value,
    shift: Value,
    mean: Value,
    variance: Value,
    attributes: { readonly epsilon: number },
  ): Value {
    return this.apply(batchNormInference, [x, scale, shift, mean, variance], attributes);
  }

  /** Equal shapes only. */
  add(a: Value, b: Value): Value {
    return this.apply(add, [a, b], {});
  }

  /** Elementwise; equal shapes only. */
  mul(a: Value, b: Value): Value {
    return this.apply(mul, [a, b], {});
  }

  /** x times a scalar value; a scalar that is the constant 1 leaves x as it is. */
  scaleBy(x: Value, scalar: Value): Value {
    const producer = this.#nodes.find((node) => node.outputs.includes(scalar));
    if (producer?.operator === (constant as Operator<unknown>)) {
      const { values } = producer.attributes as { readonly values: ArrayLike<number> };
      if (values[0] === 1) return x;
    }
    return this.apply(scaleBy, [x, scalar], {});
  }

  /** Joins along one axis; 1 (channels) unless told. */
  concat(values: readonly Value[], attributes: { readonly axis: number } = { axis: 1 }): Value {
    return this.apply(concat, values, attributes);
  }

  /** The sum of all elements, a scalar. */
  sum(x: Value): Value {
    return this.apply(sum, [x], {});
  }

  /** [N, K] to probabilities [N, K]. */
  softmax(logits: Value): Value {
    return this.apply(softmax, [logits], {});
  }

  /** Cross-entropy of softmax(logits [N, K]) against labels (int32 [N], each below K): [N], one a sample. */
  softmaxCrossEntropy(logits: Value, labels: Value): Value {
    return this.apply(softmaxCrossEntropy, [logits, labels], {});
  }

  /** The same, SUMMED over the N samples: the loss to differentiate. */
  softmaxCrossEntropySum(logits: Value, labels: Value): Value {
    return this.apply(softmaxCrossEntropySum, [logits, labels], {});
  }

  /** [N, K] to int32 [N]: the index of the largest, the first of equals. */
  argMax(logits: Value): Value {
    return this.apply(argMax, [logits], {});
  }

  /** How many positions of two int32 [N] agree: int32 scalar. */
  countEqual(a: Value, b: Value): Value {
    return this.apply(countEqual, [a, b], {});
  }
}

function checkSizes(what: string, shape: Shape): void {
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 1)) {
    throw new Error(`graph: ${what} has the shape ${shapeText(shape)}; every size must be a whole number above 0`);
  }
}
