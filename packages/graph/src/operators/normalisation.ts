import { at, elementCount, expectTypes, shapeText } from "../operator.js";
import type { Operator, Shape, Signature } from "../operator.js";

/** One value a channel, for pixels in [0, 1]. */
export interface ChannelStatistics {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

interface Epsilon {
  readonly epsilon: number;
}

export const castNormalise: Operator<ChannelStatistics> = {
  name: "castNormalise",
  infer(inputs, { mean, std }) {
    expectTypes("castNormalise", inputs, ["uint8"]);
    const image = at(inputs, 0);
    const [batch = 1, height = 1, width = 1, channels = 1] = image.shape;
    if (image.shape.length !== 4 || mean.length !== channels || std.length !== channels) {
      throw new Error(
        `castNormalise: image ${shapeText(image.shape)} (N, H, W, C) does not fit ${mean.length} means and ${std.length} deviations`,
      );
    }
    return [{ type: "float32", shape: [batch, channels, height, width] }];
  },
  // Channels outermost first, so that both constants are added and multiplied along whole planes; an operator that wants
  // that layout (the window form) takes its transpose away again.
  emit(onnx, { attributes: { mean, std } }, inputs) {
    const planes = onnx.cast(onnx.transpose(at(inputs, 0), [3, 0, 1, 2]), "float32");
    const shape = [std.length, 1, 1, 1];
    const scaled = onnx.op("Mul", [
      planes,
      onnx.floats(
        std.map((value) => 1 / (255 * value)),
        shape,
      ),
    ]);
    const shift = std.map((value, channel) => -(mean[channel] ?? 0) / value);
    return [onnx.transpose(onnx.op("Add", [scaled, onnx.floats(shift, shape)]), [1, 0, 2, 3])];
  },
  anyBatch: true,
};

/** Checks x against its per-channel companions and gives the number of channels. */
function expectChannels(operator: string, inputs: readonly Signature[]): number {
  expectTypes(
    operator,
    inputs,
    inputs.map(() => "float32"),
  );
  const [x, ...companions] = inputs;
  if (x === undefined || x.shape.length < 2) throw new Error(`${operator}: needs [N, C, ...]`);
  for (const { shape } of companions) {
    if (shape.length !== 1 || shape[0] !== x.shape[1]) {
      throw new Error(`${operator}: input ${shapeText(x.shape)} does not fit ${shapeText(shape)} (one a channel)`);
    }
  }
  return at(x.shape, 1);
}

/** Values a channel: N times everything behind the channels. */
function valuesPerChannel(shape: Shape): number {
  return elementCount(shape) / at(shape, 1);
}

export const batchNormTraining: Operator<Epsilon> = {
  name: "batchNormTraining",
  infer(inputs) {
    const channels = expectChannels("batchNormTraining", inputs);
    const { shape } = at(inputs, 0);
    if (valuesPerChannel(shape) < 2) {
      throw new Error(`batchNormTraining: needs more than one value a channel, found input ${shapeText(shape)}`);
    }
    return [
      { type: "float32", shape },
      { type: "float32", shape: [channels] },
      { type: "float32", shape: [channels] },
    ];
  },
  gradient(builder, { inputs: [x, scale], outputs, attributes }, [dy]) {
    if (dy === undefined || x === undefined || scale === undefined) return [];
    const gradients = (): readonly [typeof x, typeof x, typeof x] => {
      const inputs = [x, scale, at(outputs, 1), at(outputs, 2), dy];
      const [dx = x, dScale = x, dShift = x] = builder.applyAll(batchNormGradient, inputs, attributes);
      return [dx, dScale, dShift];
    };
    return [() => gradients()[0], () => gradients()[1], () => gradients()[2]];
  },
  emit(onnx, { inputs, attributes: { epsilon } }, names) {
    const { shape } = at(inputs, 0);
    const [, scale = "", shift = ""] = names;
    // momentum 0: the "running" outputs are the batch's own mean and biased variance. ONNX Runtime writes them into the
    // buffers of the two running inputs, constants included, so each node needs two zero tensors that are nobody else's.
    const running = [onnx.op("Sub", [scale, scale]), onnx.op("Sub", [shift, shift])];
    const [y = "", mean = "", biased = ""] = onnx.ops(
      "BatchNormalization",
      [...names, ...running],
      { epsilon: { float: epsilon }, momentum: { float: 0 }, training_mode: 1 },
      3,
    );
    const count = valuesPerChannel(shape);
    return [y, mean, onnx.op("Mul", [biased, onnx.scalar(count / (count - 1))])];
  },
};

/**
 * With c = x - mean, r = 1 / sqrt(biased variance + epsilon), n values a channel and sums over a channel:
 *   dShift = sum(dy),  dScale = r * sum(dy * c),
 *   dx = scale * r * (dy - sum(dy) / n - c * r^2 * sum(dy * c) / n).
 * c is centred before it is multiplied: sum(dy * x) - mean * sum(dy) cancels where the mean is large.
 * Inputs: x, scale, mean, unbiased variance, dy.
 */
export const batchNormGradient: Operator<Epsilon> = {
  name: "batchNormGradient",
  infer(inputs) {
    const [x, scale] = [at(inputs, 0), at(inputs, 1)];
    return [x, scale, scale].map(({ shape }) => ({ type: "float32", shape }));
  },
  emit(onnx, { inputs, attributes: { epsilon } }, [x = "", scale = "", mean = "", variance = "", dy = ""]) {
    const { shape } = at(inputs, 0);
    const [batch = 1, channels = 1, ...inner] = shape;
    const count = valuesPerChannel(shape);
    const ones = inner.map(() => 1);
    const perChannel = (name: string): string => (inner.length === 0 ? name : onnx.reshape(name, [channels, ...ones]));
    const channelSums = (name: string): string => {
      if (inner.length === 0) return onnx.reduceSum(name, [0], "drop");
      const rows = onnx.reduceSum(onnx.reshape(name, [batch, channels, elementCount(inner)]), [2], "drop");
      return onnx.reduceSum(rows, [0], "drop");
    };
    const biased = onnx.op("Mul", [variance, onnx.scalar((count - 1) / count)]);
    const deviation = onnx.op("Sqrt", [onnx.op("Add", [biased, onnx.scalar(epsilon)])]);
    const centred = onnx.op("Sub", [x, perChannel(mean)]);
    const dShift = channelSums(dy);
    const dScale = onnx.op("Div", [channelSums(onnx.op("Mul", [dy, centred])), deviation]);
    const gain = onnx.op("Div", [scale, deviation]);
    const slope = onnx.op("Mul", [onnx.op("Div", [dScale, deviation]), onnx.scalar(-1 / count)]);
    const level = onnx.op("Mul", [dShift, onnx.scalar(-1 / count)]);
    // gain * (slope * c + level): an inference node with mean 0 and variance 1 is one pass, where Mul and Add are two.
    const [zeros, unit] = [0, 1].map((value) => onnx.floats(Array.from({ length: channels }, () => value)));
    const affine = [centred, onnx.op("Mul", [gain, slope]), onnx.op("Mul", [gain, level]), zeros ?? "", unit ?? ""];
    const correction = onnx.op("BatchNormalization", affine, { epsilon: { float: 0 } });
    return [onnx.op("Add", [onnx.op("Mul", [dy, perChannel(gain)]), correction]), dScale, dShift];
  },
};

export const batchNormInference: Operator<Epsilon> = {
  name: "batchNormInference",
  infer(inputs) {
    expectChannels("batchNormInference", inputs);
    return [{ type: "float32", shape: at(inputs, 0).shape }];
  },
  emit: (onnx, { attributes }, inputs) => [
    onnx.op("BatchNormalization", inputs, { epsilon: { float: attributes.epsilon } }),
  ],
  anyBatch: true,
};
