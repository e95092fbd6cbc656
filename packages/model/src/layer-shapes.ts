// One function per layer type: what goes in, what comes out, which tensors the layer owns, and the sentence when it does
// not fit.

import { InputError, kernelMax, layerDefaults, type LayerSpec, layerWidthMax } from "@lockstep/spec";
import type { LayerAttributes, LayerTensor, ResolvedLayer } from "./network.js";
import { type Shape, formatShape, sizeOf } from "./shape.js";

const outputSizeMax = 2 ** 28; // values of one layer's output for one sample

interface Inferred {
  readonly attributes: LayerAttributes;
  readonly outputShape: Shape;
  readonly parameters?: readonly LayerTensor[];
  readonly statistics?: readonly LayerTensor[];
  readonly multiplyAdds?: number;
}

/** A layer in its place: what the sentences of its errors are made of. */
interface Place {
  readonly name: string;
  readonly type: string;
  readonly inputs: readonly string[];
  readonly inputShapes: readonly Shape[];
}

/**
 * Resolves one layer whose input shapes are known.
 * @throws InputError naming the layer and the shapes that do not fit
 */
export function inferLayer(
  spec: LayerSpec,
  name: string,
  inputs: readonly string[],
  inputShapes: readonly Shape[],
): ResolvedLayer {
  const place: Place = { name, type: spec.type, inputs, inputShapes };
  const { attributes, outputShape, parameters = [], statistics = [], multiplyAdds = 0 } = infer(spec, place);
  if (sizeOf(outputShape) > outputSizeMax) {
    throw misfit(place, `output ${formatShape(outputShape)}`, `at most ${outputSizeMax} values a sample`);
  }
  return { ...attributes, name, inputs, inputShapes, outputShape, parameters, statistics, multiplyAdds };
}

function infer(spec: LayerSpec, place: Place): Inferred {
  switch (spec.type) {
    case "conv2d":
      return convolution(spec, place);
    case "max-pool":
    case "average-pool":
      return pooling(spec, place);
    case "global-average-pool":
      return { attributes: { type: spec.type }, outputShape: [imageInput(place)[0]] };
    case "flatten":
      return { attributes: { type: spec.type }, outputShape: [sizeOf(onlyInput(place))] };
    case "dense":
      return dense(spec, place);
    case "relu":
      return { attributes: { type: spec.type }, outputShape: onlyInput(place) };
    case "dropout":
      if (!(spec.rate >= 0 && spec.rate < 1)) throw misfit(place, `rate ${spec.rate}`, "0 up to, but not including, 1");
      return { attributes: { type: spec.type, rate: spec.rate }, outputShape: onlyInput(place) };
    case "batch-norm":
      return batchNorm(spec, place);
    case "add":
      return add(place);
    case "concat":
      return concat(place);
    default:
      spec satisfies never;
      throw new Error(`layer type ${JSON.stringify(spec)} has no shape rule`);
  }
}

function convolution(spec: Extract<LayerSpec, { type: "conv2d" }>, place: Place): Inferred {
  const [channels, height, width] = imageInput(place);
  const { filters, stride, padding, bias } = { ...layerDefaults, ...spec };
  const kernel = whole(place, "kernel", spec.kernel, 1, kernelMax);
  whole(place, "filters", filters, 1, layerWidthMax);
  whole(place, "stride", stride, 1, kernelMax);
  whole(place, "padding", padding, 0, kernelMax);
  const outputShape = [filters, ...slide(place, [height, width], kernel, stride, padding)];
  const weight: LayerTensor = {
    name: `${place.name}.weight`,
    shape: [filters, channels, kernel, kernel],
    role: "weight",
  };
  return {
    attributes: { type: "conv2d", filters, kernel, stride, padding, bias },
    outputShape,
    parameters: bias ? [weight, { name: `${place.name}.bias`, shape: [filters], role: "bias" }] : [weight],
    multiplyAdds: sizeOf(outputShape) * channels * kernel * kernel,
  };
}

function pooling(spec: Extract<LayerSpec, { type: "max-pool" | "average-pool" }>, place: Place): Inferred {
  const [channels, height, width] = imageInput(place);
  const kernel = whole(place, "kernel", spec.kernel, 1, kernelMax);
  const stride = whole(place, "stride", spec.stride ?? kernel, 1, kernelMax);
  // More would leave windows that hold padding alone.
  const padding = whole(place, "padding", spec.padding ?? layerDefaults.padding, 0, Math.floor(kernel / 2));
  return {
    attributes: { type: spec.type, kernel, stride, padding },
    outputShape: [channels, ...slide(place, [height, width], kernel, stride, padding)],
  };
}

function dense(spec: Extract<LayerSpec, { type: "dense" }>, place: Place): Inferred {
  const shape = onlyInput(place);
  if (shape.length !== 1) {
    throw misfit(
      place,
      describeInputs(place),
      "[features]; a flatten or global-average-pool layer before it makes that",
    );
  }
  const features = shape[0] as number;
  const units = whole(place, "units", spec.units, 1, layerWidthMax);
  const bias = spec.bias ?? layerDefaults.bias;
  const weight: LayerTensor = { name: `${place.name}.weight`, shape: [units, features], role: "weight" };
  return {
    attributes: { type: "dense", units, bias },
    outputShape: [units],
    parameters: bias ? [weight, { name: `${place.name}.bias`, shape: [units], role: "bias" }] : [weight],
    multiplyAdds: units * features,
  };
}

function batchNorm(spec: Extract<LayerSpec, { type: "batch-norm" }>, place: Place): Inferred {
  const outputShape = onlyInput(place);
  const { momentum, epsilon } = { ...layerDefaults, ...spec };
  if (!(momentum > 0 && momentum <= 1)) throw misfit(place, `momentum ${momentum}`, "above 0, at most 1");
  if (!(epsilon >= 1e-12 && epsilon <= 1)) throw misfit(place, `epsilon ${epsilon}`, "1e-12 to 1");
  const shape = [outputShape[0] as number];
  return {
    attributes: { type: "batch-norm", momentum, epsilon },
    outputShape,
    parameters: [
      { name: `${place.name}.weight`, shape, role: "scale" },
      { name: `${place.name}.bias`, shape, role: "shift" },
    ],
    statistics: [
      { name: `${place.name}.running_mean`, shape, role: "running-mean" },
      { name: `${place.name}.running_var`, shape, role: "running-variance" },
    ],
  };
}

function add(place: Place): Inferred {
  const [first, ...others] = severalInputs(place);
  if (others.some((shape) => formatShape(shape) !== formatShape(first))) {
    throw misfit(place, describeInputs(place), "inputs of one shape");
  }
  return { attributes: { type: "add" }, outputShape: first };
}

/** Along channels (or features): the first axis of a sample. */
function concat(place: Place): Inferred {
  const shapes = severalInputs(place);
  const [, ...rest] = shapes[0];
  if (shapes.some((shape) => formatShape(shape.slice(1)) !== formatShape(rest))) {
    throw misfit(place, describeInputs(place), "inputs that differ in channels only");
  }
  const channels = shapes.reduce((sum, shape) => sum + (shape[0] as number), 0);
  return { attributes: { type: "concat" }, outputShape: [channels, ...rest] };
}

/** Places of a sliding window along height and width. */
function slide(place: Place, size: readonly number[], kernel: number, stride: number, padding: number): number[] {
  const output = size.map((length) => Math.floor((length + 2 * padding - kernel) / stride) + 1);
  if (output.every((length) => length >= 1)) return output;
  throw misfit(
    place,
    `${describeInputs(place)}, where kernel ${kernel} with stride ${stride} and padding ${padding} would give ${formatShape(output)} pixels`,
    "at least [1, 1] pixels; a larger image, a smaller kernel or fewer pooling layers",
  );
}

function onlyInput(place: Place): Shape {
  const [shape] = place.inputShapes;
  if (shape === undefined || place.inputShapes.length > 1) throw misfit(place, describeInputs(place), "one input");
  return shape;
}

function imageInput(place: Place): readonly [number, number, number] {
  const [channels, height, width, ...rest] = onlyInput(place);
  if (channels === undefined || height === undefined || width === undefined || rest.length > 0) {
    throw misfit(place, describeInputs(place), "[channels, height, width]");
  }
  return [channels, height, width];
}

function severalInputs(place: Place): readonly [Shape, ...Shape[]] {
  const [first, ...others] = place.inputShapes;
  if (first === undefined || others.length === 0) throw misfit(place, describeInputs(place), "two inputs or more");
  return [first, ...others];
}

function whole(place: Place, what: string, value: number, lowest: number, highest: number): number {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw misfit(place, `${what} ${value} on ${describeInputs(place)}`, `a whole number from ${lowest} to ${highest}`);
}

function describeInputs(place: Place): string {
  if (place.inputs.length === 0) return "no input";
  const shapes = place.inputs.map((input, index) => `${formatShape(place.inputShapes[index] ?? [])} from "${input}"`);
  return `input ${shapes.join(" and ")}`;
}

function misfit(place: Place, found: string, allowed: string): InputError {
  return new InputError({ where: `model: layer "${place.name}" (${place.type})`, found, allowed });
}
