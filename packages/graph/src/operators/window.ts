import { at, expectTypes, sameShape, sizes2, sizes4 } from "../operator.js";
import type { Operator, Shape } from "../operator.js";
import type { OnnxWriter } from "../onnx.js";

type None = Readonly<Record<string, never>>;

/*
 * The window form: convolution 3x3 (stride 1, padding 1), bias, ReLU and 2x2 max-pool as one operator.
 *
 * The four convolution values that one pooled cell chooses from all see pixels of one 4x4 window, and neighbouring
 * windows lie 2 apart. So the padded image, cut into 2x2 blocks (SpaceToDepth), gives every window as 2x2 blocks: four
 * shifted slices hold all 16 * I taps of all windows, stored once for the forward product and the weight gradient alike.
 *
 *   patches [16 I, S]    S = pooled cells of all images; rows: block (row, column), channel, pixel (row, column) in it
 *   kernel  [4 O, 16 I]  the 3x3 kernels inside 4x4 zeros, at the four offsets
 *   values  = kernel * patches, four rows of [O, S] in the order (0,0) (1,0) (0,1) (1,1): the pooled cell's choice
 *   y       = relu(max of the four + bias)     adding a constant and taking a maximum commute, in rounding as well
 *
 * The maximum is a tournament: first down the columns' pairs, so that of equals the first in row order wins, as in PyTorch:
 *   even = (0,0) (1,0), odd = (0,1) (1,1);  rows = max(even, odd) = top, bottom;  best = max(top, bottom).
 * Backward, comparisons send dy down the same tournament; no indices are made (MaxPool's Indices were 47 % of the time
 * of the plain form), and masks are Cast, never Where (ten times slower).
 * Everything is [channels, images * cells]: products need no batch axis and bias gradients are sums along the last axis.
 */

/** Order of the four values of a cell in the kernel's rows: [row, column] of each. */
const cellOrder = [
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
] as const;

interface WindowSizes {
  readonly batch: number;
  readonly inputs: number;
  readonly filters: number;
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
 * Outputs: y [N, O, H/2, W/2]; for the gradient: patches [16 I, S], even and odd [2 O, S], top, bottom and
 * before ReLU [O, S].
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
    const shapes = [
      [batch, filters, rows, columns],
      [16 * channels, cells],
      [2 * filters, cells],
      [2 * filters, cells],
      [filters, cells],
      [filters, cells],
      [filters, cells],
    ];
    return shapes.map((shape) => ({ type: "float32", shape }));
  },
  gradient(builder, { inputs, outputs }, [dy]) {
    if (dy === undefined) return [];
    const [x, weight] = [at(inputs, 0), at(inputs, 1)];
    const [, patches, ...tournament] = outputs;
    const sent = builder.applyAll(windowTournamentGradient, [dy, ...tournament], {});
    const [dEven, dOdd, dBest] = [at(sent, 0), at(sent, 1), at(sent, 2)];
    return [
      () => builder.apply(windowInputGradient, [dEven, dOdd, weight], { shape: x.shape }),
      () => builder.apply(windowWeightGradient, [dEven, dOdd, patches ?? x], { shape: weight.shape }),
      () => builder.apply(rowSums, [dBest], {}),
    ];
  },
  emit(onnx, { inputs }, names) {
    if (onnx.anyBatch) return [emitPlain(onnx, names)];
    const [x = "", weight = "", bias] = names;
    const sizes = windowSizes(at(inputs, 0).shape, at(at(inputs, 1).shape, 0));
    const { batch, filters, rows, columns } = sizes;
    const patches = windowPatches(onnx, sizes, x);
    const values = onnx.op("MatMul", [windowKernel(onnx, sizes, weight), patches]);
    const [even = "", odd = ""] = onnx.ops(
      "Split",
      [values, onnx.integers([2 * filters, 2 * filters])],
      { axis: 0 },
      2,
    );
    const pairs = onnx.op("Max", [even, odd]);
    const [top = "", bottom = ""] = onnx.ops("Split", [pairs, onnx.integers([filters, filters])], { axis: 0 }, 2);
    const winner = onnx.op("Max", [top, bottom]);
    const best = bias === undefined ? winner : onnx.op("Add", [winner, onnx.reshape(bias, [filters, 1])]);
    const y = onnx.reshape(onnx.op("Relu", [best]), [filters, batch, rows, columns]);
    return [onnx.transpose(y, [1, 0, 2, 3]), patches, even, odd, top, bottom, best];
  },
  anyBatch: true,
};

/** The four layers as they are, for graphs that take any number of images. */
function emitPlain(onnx: OnnxWriter, inputs: readonly string[]): string {
  const convolved = onnx.op("Conv", inputs, { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] });
  return onnx.op("MaxPool", [onnx.op("Relu", [convolved])], { kernel_shape: [2, 2], strides: [2, 2] });
}

/** [16 I, S], rows (block row, block column, channel, pixel row, pixel column). */
function windowPatches(onnx: OnnxWriter, { batch, inputs, rows, columns, cells }: WindowSizes, x: string): string {
  const planes = onnx.pad(onnx.transpose(x, [1, 0, 2, 3]), [0, 0, 1, 1], [0, 0, 1, 1]);
  // [I, N, H + 2, W + 2] to [I, 4, N, blocks, blocks]: SpaceToDepth takes N for its channels and puts pixels before them.
  const blocks = onnx.reshape(onnx.op("SpaceToDepth", [planes], { blocksize: 2 }), [
    inputs * 4,
    batch,
    rows + 1,
    columns + 1,
  ]);
  const shifted = [0, 1].flatMap((row) =>
    [0, 1].map((column) => onnx.slice(blocks, [row, column], [row + rows, column + columns], [2, 3])),
  );
  return onnx.reshape(onnx.op("Concat", shifted, { axis: 0 }), [16 * inputs, cells]);
}

/** [O, I, 3, 3] to [4 O, 16 I]. */
function windowKernel(onnx: OnnxWriter, { inputs, filters }: WindowSizes, weight: string): string {
  const placed = cellOrder.map(([row, column]) => onnx.pad(weight, [0, 0, row, column], [0, 0, 1 - row, 1 - column]));
  const all = onnx.reshape(onnx.op("Concat", placed, { axis: 0 }), [4 * filters, inputs, 2, 2, 2, 2]);
  return onnx.reshape(onnx.transpose(all, [0, 2, 4, 1, 3, 5]), [4 * filters, 16 * inputs]);
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

/** Gradient of the 4x4-window kernel, folded back to [O, I, 3, 3]. Inputs: d even, d odd, patches. */
export const windowWeightGradient: Operator<{ readonly shape: Shape }> = {
  name: "windowWeightGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { attributes: { shape } }, [dEven = "", dOdd = "", patches = ""]) {
    const [filters = 1, inputs = 1] = shape;
    const all = onnx.op("Concat", [dEven, dOdd], { axis: 0 });
    const product = onnx.op("Gemm", [all, patches], { transB: 1 });
    const byPixel = onnx.transpose(onnx.reshape(product, [4 * filters, 2, 2, inputs, 2, 2]), [0, 3, 1, 4, 2, 5]);
    const kernels = onnx.reshape(byPixel, [4 * filters, inputs, 4, 4]);
    const parts = cellOrder.map(([row, column], index) =>
      onnx.slice(kernels, [index * filters, row, column], [(index + 1) * filters, row + 3, column + 3], [0, 2, 3]),
    );
    const pair = (a: number, b: number): string => onnx.op("Add", [at(parts, a), at(parts, b)]);
    return [onnx.op("Add", [pair(0, 1), pair(2, 3)])];
  },
};

/** dx: every window's gradient added where windows overlap. Inputs: d even, d odd, weight; shape: x's. */
export const windowInputGradient: Operator<{ readonly shape: Shape }> = {
  name: "windowInputGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { inputs, attributes: { shape } }, [dEven = "", dOdd = "", weight = ""]) {
    const sizes = windowSizes(shape, at(at(inputs, 2).shape, 0));
    const { batch, inputs: channels, rows, columns } = sizes;
    const all = onnx.op("Concat", [dEven, dOdd], { axis: 0 });
    const dPatches = onnx.op("Gemm", [windowKernel(onnx, sizes, weight), all], { transA: 1 });
    const shifted = onnx.reshape(dPatches, [4, channels * 4, batch, rows, columns]);
    const parts = [0, 1].flatMap((row) =>
      [0, 1].map((column) => {
        const index = 2 * row + column;
        const part = onnx.reshape(onnx.slice(shifted, [index], [index + 1], [0]), [channels * 4, batch, rows, columns]);
        return onnx.pad(part, [0, 0, row, column], [0, 0, 1 - row, 1 - column]);
      }),
    );
    const pair = (a: number, b: number): string => onnx.op("Add", [at(parts, a), at(parts, b)]);
    const blocks = onnx.reshape(onnx.op("Add", [pair(0, 1), pair(2, 3)]), [channels, 4 * batch, rows + 1, columns + 1]);
    const padded = onnx.op("DepthToSpace", [blocks], { blocksize: 2 });
    const cut = onnx.slice(padded, [1, 1], [2 * rows + 1, 2 * columns + 1], [2, 3]);
    return [onnx.transpose(cut, [1, 0, 2, 3])];
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
