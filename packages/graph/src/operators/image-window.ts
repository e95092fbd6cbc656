import { at, expectTypes, sizes4 } from "../operator.js";
import type { Operator, Shape, Signature } from "../operator.js";
import type { OnnxWriter } from "../onnx.js";
import { castNormalise } from "./normalisation.js";
import type { ChannelStatistics } from "./normalisation.js";
import {
  convolutionReluMaxPool,
  emitPlainWindow,
  emitWindow,
  rowSums,
  windowTournamentGradient,
  windowWeightGradient,
} from "./window.js";

/*
 * The window form (window.ts) of a network's first layers, where the input is the image itself: normalise, convolution 3x3,
 * ReLU, 2x2 max-pool as one operator. No gradient of the image is wanted, so its layout is free, and here images come last:
 * S counts (window row, window column, image). Two things follow.
 *
 * Taps are copies of long runs. With Q = W / 2, a table holds rows of Q * N numbers, one for each image row, channel and
 *   even columns 0, 2, ..        odd columns 1, 3, ..        odd, one window further right        even, one further left
 * and a row of zeros. Tap column v = 0..3 of all windows in one row is a row of the table (odd further right, even, odd, even
 * further left), so that left and right are two Gathers of 576 rows (32x32, three channels): 21 us each for 16 images, where
 * padding, SpaceToDepth, slices and joins took 210.
 *
 * The pooled cells [O, S] are the matrix [features, N] as they are: a dense layer that follows needs no transpose.
 *
 * Measured whole, 16 images of 32x32 with the dense layer and all gradients: 0.97 ms against 1.05 to 1.12.
 */

interface ImageSizes {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

function imageSizes(image: Signature): ImageSizes {
  const [batch, height, width, channels] = sizes4("imageConvolutionReluMaxPool", image);
  return { batch, height, width, channels };
}

/** Whether the image's windows have neighbours to shift to. */
export function fitsImageWindow(image: Shape): boolean {
  const [, height = 1, width = 1] = image;
  return height % 2 === 0 && width % 2 === 0 && width >= 4;
}

/**
 * Inputs: image uint8 [N, H, W, I], weight [O, I, 3, 3], and a bias [O] or none.
 * Outputs: y [N, O, H/2, W/2]; the same as columns [features, N]; for the gradient as convolutionReluMaxPool, images last.
 */
export const imageConvolutionReluMaxPool: Operator<ChannelStatistics> = {
  name: "imageConvolutionReluMaxPool",
  infer(inputs, statistics) {
    const [image, ...parameters] = inputs;
    const normalised = castNormalise.infer(image === undefined ? [] : [image], statistics);
    expectTypes("imageConvolutionReluMaxPool", inputs, ["uint8", ...parameters.map(() => "float32" as const)]);
    const [y, ...matrices] = convolutionReluMaxPool.infer([...normalised, ...parameters], {});
    const [batch = 1, ...pooled] = y?.shape ?? [];
    const columns: Signature = { type: "float32", shape: [pooled.reduce((a, b) => a * b, 1), batch] };
    return y === undefined ? [] : [y, columns, ...matrices];
  },
  gradient(builder, { inputs, outputs }, [dy, dColumns]) {
    const weight = at(inputs, 1);
    const [, , left = weight, right = weight, ...tournament] = outputs;
    const best = at(outputs, outputs.length - 1);
    const fromY = dy === undefined ? undefined : builder.apply(imagesLast, [dy], {});
    const both = fromY !== undefined && dColumns !== undefined ? builder.add(fromY, dColumns) : (fromY ?? dColumns);
    if (both === undefined) return [];
    const cells = builder.reshape(both, best.shape);
    const [dEven = cells, dOdd = cells, dBest = cells] = builder.applyAll(
      windowTournamentGradient,
      [cells, ...tournament],
      {},
    );
    return [
      undefined,
      () => builder.apply(windowWeightGradient, [dEven, dOdd, left, right], { shape: weight.shape }),
      () => builder.apply(rowSums, [dBest], {}),
    ];
  },
  emit(onnx, { inputs, attributes, outputs }, [image = "", ...parameters]) {
    const sizes = imageSizes(at(inputs, 0));
    const [y, columns] = [at(outputs, 0), at(outputs, 1)];
    if (onnx.anyBatch) {
      const normalised = castNormalise.emit(onnx, { operator: castNormalise, inputs, attributes, outputs: [] }, [
        image,
      ]);
      const plain = emitPlainWindow(onnx, [...normalised, ...parameters]);
      return [plain, onnx.transpose(onnx.op("Flatten", [plain], { axis: 1 }), [1, 0])];
    }
    const filters = at(at(inputs, 1).shape, 0);
    const [cells, ...matrices] = emitWindow(onnx, {
      channels: sizes.channels,
      filters,
      taps: imageTaps(onnx, sizes, attributes, image),
      parameters,
    });
    const features = onnx.reshape(cells ?? "", columns.shape);
    return [onnx.reshape(onnx.transpose(features, [1, 0]), y.shape), features, ...matrices];
  },
  anyBatch: true,
};

/** left and right, [12 I, S] each; rows: channel, tap column, tap row. */
function imageTaps(
  onnx: OnnxWriter,
  { batch, height, width, channels }: ImageSizes,
  statistics: ChannelStatistics,
  image: string,
): readonly [string, string] {
  const run = (width / 2) * batch;
  const planes = onnx.reshape(normalisedRows(onnx, { batch, height, width, channels }, statistics, image), [
    height,
    2,
    channels,
    run,
  ]);
  const even = onnx.slice(planes, [0, batch], [1, run], [1, 3]);
  const odd = onnx.slice(planes, [1, 0], [2, run - batch], [1, 3]);
  const edge = onnx.zeros([height, 1, channels, batch]);
  const rows = (shifted: string): string => onnx.reshape(shifted, [height * channels, run]);
  const table = onnx.op(
    "Concat",
    [
      onnx.reshape(planes, [height * 2 * channels, run]),
      rows(onnx.op("Concat", [edge, odd], { axis: 3 })),
      rows(onnx.op("Concat", [even, edge], { axis: 3 })),
      onnx.zeros([1, run]),
    ],
    { axis: 0 },
  );
  const join = (tapColumns: readonly number[]): string => {
    const rowNumbers = tapRows({ height, channels }, tapColumns);
    const gathered = onnx.op("Gather", [table, onnx.constant("int32", [rowNumbers.length], rowNumbers)], { axis: 0 });
    return onnx.reshape(gathered, [12 * channels, (height / 2) * run]);
  };
  return [join([0, 1, 2]), join([1, 2, 3])];
}

/** The image normalised and turned, images last: rows (image row, even or odd column, channel) of (window column, image). */
function normalisedRows(
  onnx: OnnxWriter,
  { batch, height, width, channels }: ImageSizes,
  { mean, std }: ChannelStatistics,
  image: string,
): string {
  const pixels = onnx.transpose(onnx.reshape(image, [batch, height * width * channels]), [1, 0]);
  const columns = width / 2;
  const places: number[] = [];
  for (const parity of [0, 1]) {
    for (let channel = 0; channel < channels; channel++) {
      for (let column = 0; column < columns; column++) places.push((2 * column + parity) * channels + channel);
    }
  }
  // A Gather copies whole runs of bytes; a Transpose of the same takes 180 us where this takes 12.
  const rows = onnx.reshape(pixels, [height, width * channels, batch]);
  const sorted = onnx.op("Gather", [rows, onnx.constant("int32", [places.length], places)], { axis: 1 });
  const runs = onnx.reshape(onnx.cast(sorted, "float32"), [height * 2, channels, columns * batch]);
  const scale = std.map((value) => 1 / (255 * value));
  const shift = std.map((value, channel) => -(mean[channel] ?? 0) / value);
  const scaled = onnx.op("Mul", [runs, onnx.floats(scale, [channels, 1])]);
  return onnx.op("Add", [scaled, onnx.floats(shift, [channels, 1])]);
}

/** For each tap (channel, tap column, tap row) and window row: the table's row. */
function tapRows(
  { height, channels }: { readonly height: number; readonly channels: number },
  tapColumns: readonly number[],
): number[] {
  const planes = 2 * height * channels;
  const shifted = height * channels;
  const rowOf = [
    (y: number, channel: number) => planes + y * channels + channel,
    (y: number, channel: number) => 2 * y * channels + channel,
    (y: number, channel: number) => (2 * y + 1) * channels + channel,
    (y: number, channel: number) => planes + shifted + y * channels + channel,
  ];
  const zeros = planes + 2 * shifted;
  const rows: number[] = [];
  for (let channel = 0; channel < channels; channel++) {
    for (const tapColumn of tapColumns) {
      for (let tapRow = 0; tapRow < 4; tapRow++) {
        for (let row = 0; row < height / 2; row++) {
          const y = 2 * row + tapRow - 1;
          rows.push(y < 0 || y >= height ? zeros : at(rowOf, tapColumn)(y, channel));
        }
      }
    }
  }
  return rows;
}

/** [N, ...] to [features, N]. */
const imagesLast: Operator<Readonly<Record<string, never>>> = {
  name: "imagesLast",
  infer(inputs) {
    const [batch = 1, ...rest] = at(inputs, 0).shape;
    return [{ type: "float32", shape: [rest.reduce((a, b) => a * b, 1), batch] }];
  },
  emit(onnx, { outputs }, [x = ""]) {
    const [features = 1, batch = 1] = at(outputs, 0).shape;
    return [onnx.transpose(onnx.reshape(x, [batch, features]), [1, 0])];
  },
};
