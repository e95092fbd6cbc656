import { at, expectTypes, sameShape, sizes2, sizes4 } from "../operator.js";
import type { Operator, Shape } from "../operator.js";
import type { OnnxWriter } from "../onnx.js";
import { convolutionSizes, inputGradientFlipped } from "./convolution.js";
import { interleaveColumns } from "./pooling.js";

type None = Readonly<Record<string, never>>;

/*
 * The window form: convolution 3x3 (stride 1, padding 1), bias, ReLU and 2x2 max-pool as one operator.
 *
 * The four convolution values that one pooled cell chooses from all see pixels of one 4x4 window, and neighbouring
 * windows lie 2 apart. So the padded image, cut into 2x2 blocks (SpaceToDepth), gives every window as 2x2 blocks.
 * With S = pooled cells of all images, everything is a matrix [something, S]:
 *
 *   left, right [12 I, S]   taps of the window's columns 0..2 and 1..3; rows: channel, tap column, tap row
 *   kernel  [2 O, 12 I]     the 3x3 kernels inside 3 columns x 4 rows, at the two vertical offsets
 *   even = kernel * left    values at the cell's (0,0) then (1,0), O rows each;   odd = kernel * right: (0,1) then (1,1)
 *   y = relu(max of the four + bias)     adding a constant and taking a maximum commute, in rounding as well
 *
 * The maximum is a tournament in which, of equals, the first in row order wins, as in PyTorch:
 *   pairs = max(even, odd) = top, bottom (the cell's two rows);   best = max(top, bottom).
 * Backward, comparisons send dy down the same tournament. No indices are made: MaxPool with Indices was 47 % of the time
 * of the plain form. Masks are Cast, never Where (ten times slower). The taps are stored once for the forward products
 * and for the weight gradient. Two products of 36 taps instead of one of 48 (three channels) are a quarter less
 * arithmetic, and spare a Split and a Concat of the largest tensors.
 */

interface WindowSizes {
  readonly batch: number;
  readonly inputs: number;
  readonly filters: number;
  /** Pooled rows and columns of one image. */
  readonly rows: number;
  readonly columns: number;
  /** Pooled cells of all images. */
  readonly cells: number;
}

function windowSizes(x: Shape, filters: number): WindowSizes {
  const [batch, inputs, height, width] = sizes4("convolutionReluMaxPool", { type: "float32", shape: x });
  const [rows, columns] = [height / 2, width / 2];
  return { batch, inputs, filters, rows, columns, cells: batch * rows * columns };
}

/**
 * Inputs: x [N, I, H, W] with even H and W, weight [O, I, 3, 3], and a bias [O] or none.
 * Outputs: y [N, O, H/2, W/2]; for the gradient: left and right [12 I, S], even and odd [2 O, S], top, bottom and the
 * value before ReLU [O, S].
 */
export const convolutionReluMaxPool: Operator<None> = {
  name: "convolutionReluMaxPool",
  infer(inputs) {
    expectTypes(
      "convolutionReluMaxPool",
      inputs,
      inputs.map(() => "float32"),
    );
    const filters = at(at(inputs, 1).shape, 0);
    const { batch, inputs: channels, rows, columns, cells } = windowSizes(at(inputs, 0).shape, filters);
    const matrices = [12 * channels, 12 * channels, 2 * filters, 2 * filters, filters, filters, filters];
    return [[batch, filters, rows, columns], ...matrices.map((height) => [height, cells])].map((shape) => ({
      type: "float32",
      shape,
    }));
  },
  gradient(builder, { inputs, outputs }, [dy]) {
    if (dy === undefined) return [];
    const [x, weight] = [at(inputs, 0), at(inputs, 1)];
    const [, left = x, right = x, ...tournament] = outputs;
    const sent = builder.applyAll(windowTournamentGradient, [dy, ...tournament], {});
    const [dEven, dOdd, dBest] = [at(sent, 0), at(sent, 1), at(sent, 2)];
    return [
      () => builder.apply(windowInputGradient, [dEven, dOdd, weight], { shape: x.shape }),
      () => builder.apply(windowWeightGradient, [dEven, dOdd, left, right], { shape: weight.shape }),
      () => builder.apply(rowSums, [dBest], {}),
    ];
  },
  emit(onnx, { inputs }, names) {
    if (onnx.anyBatch) return [emitPlainWindow(onnx, names)];
    const [x = "", weight = "", bias] = names;
    const sizes = windowSizes(at(inputs, 0).shape, at(at(inputs, 1).shape, 0));
    const { batch, filters, rows, columns } = sizes;
    const [left, right] = windowTaps(onnx, sizes, x);
    const kernel = windowKernel(onnx, sizes, weight);
    const [even, odd] = [onnx.op("MatMul", [kernel, left]), onnx.op("MatMul", [kernel, right])];
    const pairs = onnx.op("Max", [even, odd]);
    const [top = "", bottom = ""] = onnx.ops("Split", [pairs, onnx.integers([filters, filters])], { axis: 0 }, 2);
    const winner = onnx.op("Max", [top, bottom]);
    const best = bias === undefined ? winner : onnx.op("Add", [winner, onnx.reshape(bias, [filters, 1])]);
    const y = onnx.reshape(onnx.op("Relu", [best]), [filters, batch, rows, columns]);
    return [onnx.transpose(y, [1, 0, 2, 3]), left, right, even, odd, top, bottom, best];
  },
  anyBatch: true,
};

/** The layers as they are, for graphs that take any number of images. */
export function emitPlainWindow(onnx: OnnxWriter, inputs: readonly string[]): string {
  const convolved = onnx.op("Conv", inputs, { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] });
  return onnx.op("MaxPool", [onnx.op("Relu", [convolved])], { kernel_shape: [2, 2], strides: [2, 2] });
}

/** left and right, [12 I, S] each. */
function windowTaps(onnx: OnnxWriter, sizes: WindowSizes, x: string): readonly [string, string] {
  const { batch, inputs, rows, columns, cells } = sizes;
  const planes = onnx.pad(onnx.transpose(x, [1, 0, 2, 3]), [0, 0, 1, 1], [0, 0, 1, 1]);
  // SpaceToDepth takes N for its channels and puts the pixel's place in its block before them: row, column, image.
  const blocks = onnx.reshape(onnx.op("SpaceToDepth", [planes], { blocksize: 2 }), [
    inputs,
    2,
    2,
    batch,
    rows + 1,
    columns + 1,
  ]);
  // Tap column v is block column v / 2, pixel column v % 2; tap rows come two at a time, from one block row.
  const columnTaps = (v: number): string[] => {
    const [blockColumn, pixelColumn] = [v >> 1, v & 1];
    return [0, 1].map((blockRow) =>
      onnx.slice(
        blocks,
        [pixelColumn, blockRow, blockColumn],
        [pixelColumn + 1, blockRow + rows, blockColumn + columns],
        [2, 4, 5],
      ),
    );
  };
  const join = (tapColumns: readonly number[]): string =>
    onnx.reshape(onnx.op("Concat", tapColumns.flatMap(columnTaps), { axis: 1 }), [12 * inputs, cells]);
  return [join([0, 1, 2]), join([1, 2, 3])];
}

/** Tap row u of the window is row u - i of the kernel of the cell's row i: [i, kernel row, tap row]. */
const rowPlaces = [
  [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
  [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
] as const;

/** [O, I, 3, 3] to [2 O, 12 I]: a product with ones and zeros is exact, and one node. */
function windowKernel(onnx: OnnxWriter, { inputs, filters }: WindowSizes, weight: string): string {
  const columns = onnx.reshape(onnx.transpose(weight, [0, 1, 3, 2]), [filters * inputs * 3, 3]);
  const places = onnx.floats(rowPlaces.flat(), [2, 3, 4]);
  return onnx.reshape(onnx.op("MatMul", [columns, places]), [2 * filters, 12 * inputs]);
}

/** dy sent down the tournament. Inputs: dy, even, odd, top, bottom, best; outputs: d even, d odd, d best. */
export const windowTournamentGradient: Operator<None> = {
  name: "windowTournamentGradient",
  infer(inputs) {
    const [even, best] = [at(inputs, 1), at(inputs, 5)];
    return [even, even, best].map(({ shape }) => ({ type: "float32", shape }));
  },
  emit(onnx, { inputs }, [dy = "", even = "", odd = "", top = "", bottom = "", best = ""]) {
    const [filters, cells] = sizes2("windowTournamentGradient", at(inputs, 5));
    const flat = onnx.reshape(onnx.transpose(dy, [1, 0, 2, 3]), [filters, cells]);
    const dBest = onnx.op("Mul", [flat, onnx.mask("Greater", best, onnx.scalar(0))]);
    const dTop = onnx.op("Mul", [dBest, onnx.mask("GreaterOrEqual", top, bottom)]);
    const pairs = onnx.op("Concat", [dTop, onnx.op("Sub", [dBest, dTop])], { axis: 0 });
    const dEven = onnx.op("Mul", [pairs, onnx.mask("GreaterOrEqual", even, odd)]);
    return [dEven, onnx.op("Sub", [pairs, dEven]), dBest];
  },
};

/** Gradient of the window's kernel, folded back to [O, I, 3, 3]. Inputs: d even, d odd, left, right. */
export const windowWeightGradient: Operator<{ readonly shape: Shape }> = {
  name: "windowWeightGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { attributes: { shape } }, [dEven = "", dOdd = "", left = "", right = ""]) {
    const [filters = 1, inputs = 1] = shape;
    // Taps first: 36 x 32 results take a quarter less time than 32 x 36 (three channels, 16 filters).
    const fromLeft = onnx.op("Gemm", [left, dEven], { transB: 1 });
    const dKernel = onnx.transpose(onnx.op("Gemm", [right, dOdd, fromLeft], { transB: 1 }), [1, 0]);
    const taps = onnx.reshape(dKernel, [2, filters * inputs * 3, 4]);
    const places = onnx.floats(transposedRowPlaces(), [2, 4, 3]);
    const folded = onnx.reduceSum(onnx.op("MatMul", [taps, places]), [0], "drop");
    return [onnx.transpose(onnx.reshape(folded, [filters, inputs, 3, 3]), [0, 1, 3, 2])];
  },
};

function transposedRowPlaces(): number[] {
  const transposed = (rows: readonly number[]): number[] =>
    [0, 1, 2, 3].flatMap((tapRow) => [0, 1, 2].map((kernelRow) => at(rows, kernelRow * 4 + tapRow)));
  return rowPlaces.flatMap(transposed);
}

/**
 * dx: the four values' gradients put back where they came from, then convolved with the turned kernel.
 * Inputs: d even, d odd, weight; shape: x's.
 */
export const windowInputGradient: Operator<{ readonly shape: Shape }> = {
  name: "windowInputGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { inputs, attributes: { shape } }, [dEven = "", dOdd = "", weight = ""]) {
    const { batch, filters, rows, columns } = windowSizes(shape, at(at(inputs, 2).shape, 0));
    const values = interleaveColumns(onnx, onnx.op("Concat", [dEven, dOdd], { axis: 0 }));
    const byRow = onnx.reshape(values, [2, filters, batch, rows, 2 * columns]);
    const dValues = onnx.reshape(onnx.transpose(byRow, [2, 1, 3, 0, 4]), [batch, filters, 2 * rows, 2 * columns]);
    const sizes = convolutionSizes(shape, at(inputs, 2).shape, { stride: 1, padding: 1 });
    return [inputGradientFlipped(onnx, sizes, dValues, weight)];
  },
};

/** Sums along the last axis: [rows, columns] to [rows]. */
export const rowSums: Operator<None> = {
  name: "rowSums",
  infer(inputs) {
    const [rows] = sizes2("rowSums", at(inputs, 0));
    return [{ type: "float32", shape: [rows] }];
  },
  emit: (onnx, _node, inputs) => [onnx.reduceSum(at(inputs, 0), [1], "drop")],
};

/** Whether the pattern's layers have the shapes that the window form is made for. */
export function fitsWindowForm(x: Shape, weight: Shape): boolean {
  const [, , height = 1, width = 1] = x;
  return sameShape(weight.slice(2), [3, 3]) && height % 2 === 0 && width % 2 === 0;
}
