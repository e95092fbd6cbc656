import { InputError, layerNames, layersMax, type LayerSpec, type ModelSpec } from "@lockstep/spec";
import { layersOf } from "./architectures/architectures.js";
import { inferLayer } from "./layer-shapes.js";
import { type Shape, formatShape, sizeOf } from "./shape.js";

/** The image that goes in. */
export interface NetworkInput {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** What a tensor of a layer is for; decides its first values. */
export type TensorRole = "weight" | "bias" | "scale" | "shift" | "running-mean" | "running-variance";

/** A tensor that a layer owns. */
export interface LayerTensor {
  /** As torchvision would name it: "conv1.weight", "bn1.running_mean". */
  readonly name: string;
  /** In PyTorch's order: convolution [filters, channels, kernel, kernel], dense [units, features], otherwise [channels]. */
  readonly shape: Shape;
  readonly role: TensorRole;
}

/** A layer's type with every attribute filled in. */
export type LayerAttributes =
  | {
      readonly type: "conv2d";
      readonly filters: number;
      readonly kernel: number;
      readonly stride: number;
      readonly padding: number;
      readonly bias: boolean;
    }
  /** Padding counts as minus infinity. */
  | { readonly type: "max-pool"; readonly kernel: number; readonly stride: number; readonly padding: number }
  /** Padding counts as zeros, and in the divisor too (PyTorch's count_include_pad). */
  | { readonly type: "average-pool"; readonly kernel: number; readonly stride: number; readonly padding: number }
  | { readonly type: "dense"; readonly units: number; readonly bias: boolean }
  | { readonly type: "dropout"; readonly rate: number }
  | { readonly type: "batch-norm"; readonly momentum: number; readonly epsilon: number }
  | { readonly type: "relu" | "global-average-pool" | "flatten" | "add" | "concat" };

/** A layer whose shapes are known. */
export type ResolvedLayer = LayerAttributes & {
  /** Unique in the network. */
  readonly name: string;
  /** Names of earlier layers, or "input". One, except for add and concat (two or more). */
  readonly inputs: readonly string[];
  readonly inputShapes: readonly Shape[];
  readonly outputShape: Shape;
  /** Trained tensors, in layout order. */
  readonly parameters: readonly LayerTensor[];
  /** Running statistics (batch-norm only): running_mean, running_var. */
  readonly statistics: readonly LayerTensor[];
  /** Multiplications, each with its addition, for one sample, forward; convolutions and dense layers only. */
  readonly multiplyAdds: number;
};

/** A network in an order in which it can be computed: each layer comes after its inputs; the last one gives the logits. */
export interface Network {
  readonly input: NetworkInput;
  readonly classes: number;
  readonly layers: readonly ResolvedLayer[];
}

/** The name by which layers take the image. */
export const inputName = "input";

const parametersMax = 2 ** 28; // 1 GiB of float32
const namePattern = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/**
 * Resolves a model for one image size and class count: fills in defaults, infers every shape, checks every layer.
 * @throws InputError naming the layer and the shapes that do not fit
 */
export function buildNetwork(model: ModelSpec, input: NetworkInput, classes: number): Network {
  const specs = "layers" in model ? model.layers : layersOf(model, input, classes);
  if (specs.length === 0 || specs.length > layersMax) {
    throw new InputError({ where: "model.layers", found: `${specs.length} layers`, allowed: `1 to ${layersMax}` });
  }
  const names = layerNames(specs);
  checkNames(names);
  const shapes = new Map<string, Shape>([[inputName, [input.channels, input.height, input.width]]]);
  const layers: ResolvedLayer[] = [];
  let previous = inputName;
  specs.forEach((spec, index) => {
    const name = names[index] as string;
    const inputs = spec.inputs ?? [previous];
    const layer = inferLayer(spec, name, inputs, inputShapesOf(spec, name, inputs, shapes));
    layers.push(layer);
    shapes.set(name, layer.outputShape);
    previous = name;
  });
  checkEveryOutputIsUsed(layers);
  checkParameterCount(layers);
  checkLogits(layers.at(-1) as ResolvedLayer, classes);
  return { input, classes, layers };
}

/** One line of a table of layers. */
export interface LayerRow {
  readonly name: string;
  readonly type: string;
  readonly output: Shape;
  /** Trained values of this layer. */
  readonly parameters: number;
  /** For one sample, forward. */
  readonly multiplyAdds: number;
}

/** The network as a table, for people. */
export function describeNetwork(network: Network): LayerRow[] {
  return network.layers.map((layer) => ({
    name: layer.name,
    type: layer.type,
    output: layer.outputShape,
    parameters: layer.parameters.reduce((sum, tensor) => sum + sizeOf(tensor.shape), 0),
    multiplyAdds: layer.multiplyAdds,
  }));
}

function checkNames(names: readonly string[]): void {
  const taken = new Set<string>([inputName]);
  for (const [index, name] of names.entries()) {
    const where = `model.layers[${index}].name`;
    if (!namePattern.test(name)) {
      throw new InputError({ where, found: JSON.stringify(name), allowed: "letters, digits, _ and -" });
    }
    if (taken.has(name)) {
      throw new InputError({
        where,
        found: `"${name}" again`,
        allowed: 'a name that no other layer has, and not "input"',
      });
    }
    taken.add(name);
  }
}

function inputShapesOf(
  spec: LayerSpec,
  name: string,
  inputs: readonly string[],
  shapes: ReadonlyMap<string, Shape>,
): Shape[] {
  return inputs.map((input) => {
    const shape = shapes.get(input);
    if (shape === undefined) {
      throw new InputError({
        where: `model: layer "${name}" (${spec.type})`,
        found: `input "${input}", which no earlier layer is called`,
        allowed: [...shapes.keys()].slice(-8).join(", "),
      });
    }
    return shape;
  });
}

function checkEveryOutputIsUsed(layers: readonly ResolvedLayer[]): void {
  const used = new Set(layers.flatMap((layer) => layer.inputs));
  for (const layer of layers.slice(0, -1)) {
    if (used.has(layer.name)) continue;
    throw new InputError({
      where: `model: layer "${layer.name}" (${layer.type})`,
      found: `output ${formatShape(layer.outputShape)} that no layer takes`,
      allowed: "every layer but the last is an input of a later one",
    });
  }
}

function checkParameterCount(layers: readonly ResolvedLayer[]): void {
  let total = 0;
  for (const layer of layers) {
    for (const tensor of layer.parameters) total += sizeOf(tensor.shape);
    if (total <= parametersMax) continue;
    throw new InputError({
      where: `model: layer "${layer.name}" (${layer.type})`,
      found: `${total} parameters up to here, for input ${formatShape(layer.inputShapes[0] ?? [])} and output ${formatShape(layer.outputShape)}`,
      allowed: `at most ${parametersMax} in a network; pooling before a dense layer makes it smaller`,
    });
  }
}

function checkLogits(last: ResolvedLayer, classes: number): void {
  if (last.outputShape.length === 1 && last.outputShape[0] === classes) return;
  throw new InputError({
    where: `model: layer "${last.name}" (${last.type}), the last one`,
    found: `output ${formatShape(last.outputShape)}`,
    allowed: `[${classes}], one value for each of the ${classes} classes`,
  });
}
