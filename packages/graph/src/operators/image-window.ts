import { at, expectTypes, sizes4 } from "../operator.js";
import type { Operator, Shape, Signature } from "../operator.js";
import type { OnnxWriter } from "../onnx.js";
import { castNormalise } from "./normalisation.js";
import type { ChannelStatistics } from "./normalisation.js";
import { convolutionReluMaxPool, emitPlainWindow, rowSums } from "./window.js";

type None = Readonly<Record<string, never>>;

/*
 * The window form (window.ts) of a network's first layers, where the input is the image itself: normalise, convolution 3x3,
 * ReLU, 2x2 max-pool as one operator. No gradient of the image is wanted, so its layout is free, and here images come last:
 * S counts (window row, window column, image). Two things follow.
 *
 * Taps are copies of long runs. With Q = W / 2, a table holds rows of Q * N numbers, one for each image row, channel and
 *   even columns 0, 2, ..        odd columns 1, 3, ..        odd, one window further right        even, one further left
 * and a row of zeros. Tap column v = 0..3 of all windows in one row is a row of the table (odd further right, even, odd, even
 * further left), so that the 9 I taps of each of the window's four places (row 0 or 1, column 0 or 1) are one Gather:
 * 16 us for 16 images of 32x32, where padding, SpaceToDepth, slices and joins for two places at once took 105.
 *
 * The pooled cells [O, S] are the matrix [features, N] as they are: a dense layer that follows needs no transpose.
 *
 * With the weight [O, 9 I] as it lies, place p has the values  weight * taps[p]  and gives the weight  taps[p] * d[p]'.
 * The tournament is that of window.ts: column 0 against 1 in each row, then row 0 against 1, the first of equals wins.
 *
 * Measured whole, 16 images of 32x32 with the dense layer and all gradients, interleaved with the forms before: taps by
 * SpaceToDepth 1.04 to 1.09 ms, two products of 12 I taps by Gather 0.87 to 0.90, four of 9 I another 8% less.
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

/** Row and column of the four places that a pooled cell chooses from, in the order in which the first of equals wins. */
const places = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
] as const;

/**
 * Inputs: image uint8 [N, H, W, I], weight [O, I, 3, 3], and a bias [O] or none.
 * Outputs: y [N, O, H/2, W/2]; the same as columns [features, N]; for the gradient: taps of the four places [9 I, S], values of
 * the four places, their maxima by row (two) and the value before ReLU, [O, S] each.
 */
export const imageConvolutionReluMaxPool: Operator<ChannelStatistics> = {
  name: "imageConvolutionReluMaxPool",
  infer(inputs, statistics) {
    const [image, ...parameters] = inputs;
    const normalised = castNormalise.infer(image === undefined ? [] : [image], statistics);
    expectTypes("imageConvolutionReluMaxPool", inputs, ["uint8", ...parameters.map(() => "float32" as const)]);
    const y = at(convolutionReluMaxPool.infer([...normalised, ...parameters], {}), 0);
    const [batch, filters, rows, columns] = sizes4("imageConvolutionReluMaxPool", y);
    const float = (shape: Shape): Signature => ({ type: "float32", shape });
    const [taps, cells] = [9 * at(at(normalised, 0).shape, 1), batch * rows * columns];
    return [
      y,
      float([filters * rows * columns, batch]),
      ...places.map(() => float([taps, cells])),
      ...Array.from({ length: 7 }, () => float([filters, cells])),
    ];
  },
  gradient(builder, { inputs, outputs }, [dy, dColumns]) {
    const weight = at(inputs, 1);
    const [taps, tournament] = [outputs.slice(2, 6), outputs.slice(6)];
    const fromY = dy === undefined ? undefined : builder.apply(imagesLast, [dy], {});
    const both = fromY !== undefined && dColumns !== undefined ? builder.add(fromY, dColumns) : (fromY ?? dColumns);
    if (both === undefined) return [];
    const cells = builder.reshape(both, at(tournament, 6).shape);
    const sent = builder.applyAll(placesGradient, [cells, ...tournament], {});
    return [
      undefined,
      () => builder.apply(placesWeightGradient, [...sent.slice(0, 4), ...taps], { shape: weight.shape }),
      () => builder.apply(rowSums, [at(sent, 4)], {}),
    ];
  },
  emit(onnx, { inputs, attributes, outputs }, [image = "", ...parameters]) {
    const [y, columns] = [at(outputs, 0), at(outputs, 1)];
    if (onnx.anyBatch) {
      const normalised = castNormalise.emit(onnx, { operator: castNormalise, inputs, attributes, outputs: [] }, [
        image,
      ]);
      const plain = emitPlainWindow(onnx, [...normalised, ...parameters]);
      return [plain, onnx.transpose(onnx.op("Flatten", [plain], { axis: 1 }), [1, 0])];
    }
    const [weight = "", bias] = parameters;
    const [filters = 1, channels = 1] = at(inputs, 1).shape;
    const taps = imageTaps(onnx, imageSizes(at(inputs, 0)), attributes, image);
    const kernel = onnx.reshape(weight, [filters, 9 * channels]);
    const values = taps.map((each) => onnx.op("MatMul", [kernel, each]));
    const rows = [onnx.op("Max", values.slice(0, 2)), onnx.op("Max", values.slice(2))];
    const winner = onnx.op("Max", rows);
    const best = bias === undefined ? winner : onnx.op("Add", [winner, onnx.reshape(bias, [filters, 1])]);
    const features = onnx.reshape(onnx.op("Relu", [best]), columns.shape);
    return [onnx.reshape(onnx.transpose(features, [1, 0]), y.shape), features, ...taps, ...values, ...rows, best];
  },
  anyBatch: true,
};

/** dy sent down the tournament. Inputs: dy, the four places' values, both rows' maxima, best; outputs: four d, d best. */
const placesGradient: Operator<None> = {
  name: "placesGradient",
  infer: (inputs) => inputs.slice(0, 5),
  emit(onnx, _node, [dy = "", v00 = "", v01 = "", v10 = "", v11 = "", top = "", bottom = "", best = ""]) {
    const dBest = onnx.op("Mul", [dy, onnx.mask("Greater", best, onnx.scalar(0))]);
    const split = (d: string, first: string, second: string): readonly [string, string] => {
      const toFirst = onnx.op("Mul", [d, onnx.mask("GreaterOrEqual", first, second)]);
      return [toFirst, onnx.op("Sub", [d, toFirst])];
    };
    const [dTop, dBottom] = split(dBest, top, bottom);
    return [...split(dTop, v00, v01), ...split(dBottom, v10, v11), dBest];
  },
};

/** Gradient of the weight. Inputs: the four places' d, then their taps. */
const placesWeightGradient: Operator<{ readonly shape: Shape }> = {
  name: "placesWeightGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { attributes: { shape } }, names) {
    const [d, taps] = [names.slice(0, 4), names.slice(4)];
    // Taps first, so that their odd number counts rows and the filters, often a multiple of 16, fill whole registers.
    let sum: string | undefined;
    for (const [place, each] of taps.entries()) {
      sum = onnx.op("Gemm", [each, at(d, place), ...(sum === undefined ? [] : [sum])], { transB: 1 });
    }
    return [onnx.reshape(onnx.transpose(sum ?? "", [1, 0]), shape)];
  },
};

/** Taps of the four places, [9 I, S] each; rows as in the weight: channel, kernel row, kernel column. */
function imageTaps(
  onnx: OnnxWriter,
  sizes: ImageSizes,
  statistics: ChannelStatistics,
  image: string,
): readonly string[] {
  const { batch, height, width, channels } = sizes;
  const run = (width / 2) * batch;
  const planes = onnx.reshape(normalisedRows(onnx, sizes, statistics, image), [height, 2, channels, run]);
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
  return places.map((place) => {
    const numbers = tapRows({ height, channels }, place);
    const gathered = onnx.op("Gather", [table, onnx.constant("int32", [numbers.length], numbers)], { axis: 0 });
    return onnx.reshape(gathered, [9 * channels, (height / 2) * run]);
  });
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
  const order: number[] = [];
  for (const parity of [0, 1]) {
    for (let channel = 0; channel < channels; channel++) {
      for (let column = 0; column < columns; column++) order.push((2 * column + parity) * channels + channel);
    }
  }
  // A Gather copies whole runs of bytes; a Transpose of the same takes 180 us where this takes 12.
  const rows = onnx.reshape(pixels, [height, width * channels, batch]);
  const sorted = onnx.op("Gather", [rows, onnx.constant("int32", [order.length], order)], { axis: 1 });
  const runs = onnx.reshape(onnx.cast(sorted, "float32"), [height * 2, channels, columns * batch]);
  const scale = std.map((value) => 1 / (255 * value));
  const shift = std.map((value, channel) => -(mean[channel] ?? 0) / value);
  const scaled = onnx.op("Mul", [runs, onnx.floats(scale, [channels, 1])]);
  return onnx.op("Add", [scaled, onnx.floats(shift, [channels, 1])]);
}

/** For each tap (channel, kernel row, kernel column) of a place, and window row: the table's row. */
function tapRows(
  { height, channels }: { readonly height: number; readonly channels: number },
  [placeRow, placeColumn]: readonly [number, number],
): number[] {
  const shifted = 2 * height * channels;
  const zeros = 4 * height * channels;
  const tableRow = [
    (y: number, channel: number) => shifted + y * channels + channel,
    (y: number, channel: number) => 2 * y * channels + channel,
    (y: number, channel: number) => (2 * y + 1) * channels + channel,
    (y: number, channel: number) => shifted + (height + y) * channels + channel,
  ];
  const rows: number[] = [];
  for (let channel = 0; channel < channels; channel++) {
    for (let kernelRow = 0; kernelRow < 3; kernelRow++) {
      for (let kernelColumn = 0; kernelColumn < 3; kernelColumn++) {
        for (let row = 0; row < height / 2; row++) {
          const y = 2 * row + placeRow + kernelRow - 1;
          rows.push(y < 0 || y >= height ? zeros : at(tableRow, placeColumn + kernelColumn)(y, channel));
        }
      }
    }
  }
  return rows;
}

/** [N, ...] to [features, N]. */
const imagesLast: Operator<None> = {
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
