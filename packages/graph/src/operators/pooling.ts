import { maxPoolGradientForm } from "../lower.js";
import { at, elementCount, expectTypes, shapeText, sizes4 } from "../operator.js";
import type { Node, Operator, Shape, Signature } from "../operator.js";
import type { OnnxWriter } from "../onnx.js";

type None = Readonly<Record<string, never>>;

/** In pixels, the same in both directions. The last window that does not fit is left out, as in PyTorch's default. */
export interface PoolAttributes {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

function pooledShape(operator: string, x: Signature, attributes: PoolAttributes): readonly number[] {
  const [batch, channels, height, width] = sizes4(operator, x);
  const { kernel, stride, padding } = attributes;
  if (kernel < 1 || stride < 1 || padding < 0 || padding > kernel / 2) {
    throw new Error(
      `${operator}: kernel ${kernel}, stride ${stride} and padding ${padding} do not fit; padding is at most half a kernel`,
    );
  }
  const outputs = [height, width].map((size) => Math.floor((size + 2 * padding - kernel) / stride) + 1);
  if (outputs.some((size) => size < 1)) {
    throw new Error(`${operator}: a kernel of ${kernel} with padding ${padding} is larger than ${shapeText(x.shape)}`);
  }
  return [batch, channels, ...outputs];
}

function onnxPool({ kernel, stride, padding }: PoolAttributes): Record<string, number[]> {
  return { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [padding, padding, padding, padding] };
}

export const maxPool: Operator<PoolAttributes> = {
  name: "maxPool",
  infer(inputs, attributes) {
    expectTypes("maxPool", inputs, ["float32"]);
    return [{ type: "float32", shape: pooledShape("maxPool", at(inputs, 0), attributes) }];
  },
  gradient(builder, { inputs, attributes }, [dy]) {
    return dy === undefined ? [] : [() => builder.apply(maxPoolGradient, [at(inputs, 0), dy], attributes)];
  },
  emit: (onnx, { attributes }, inputs) => [onnx.op("MaxPool", inputs, { ...onnxPool(attributes) })],
  anyBatch: true,
};

/** Hands dy to the first of the largest values of each window. Inputs x and dy. */
export const maxPoolGradient: Operator<PoolAttributes> = {
  name: "maxPoolGradient",
  infer: (inputs) => [{ type: "float32", shape: at(inputs, 0).shape }],
  emit(onnx, { inputs, attributes }, [x = "", dy = ""]) {
    const { shape } = at(inputs, 0);
    switch (maxPoolGradientForm(shape, attributes)) {
      case "tournament":
        return [poolTournamentGradient(onnx, shape, x, dy)];
      case "unpool":
        return [poolIndicesGradient(onnx, shape, attributes, x, dy, "unpool")];
      case "scatter":
        return [poolIndicesGradient(onnx, shape, attributes, x, dy, "scatter")];
    }
  },
};

/** MaxPool's indices say where dy goes: MaxUnpool where windows do not overlap, else an exact sum over windows. */
function poolIndicesGradient(
  onnx: OnnxWriter,
  shape: Shape,
  attributes: PoolAttributes,
  x: string,
  dy: string,
  how: "unpool" | "scatter",
): string {
  const [, indices = ""] = onnx.ops("MaxPool", [x], { ...onnxPool(attributes) }, 2);
  if (how === "unpool") {
    // MaxUnpool has no padding of its own here: the indices are places in the unpadded x, and its shape is given.
    const { kernel, stride } = attributes;
    const unpool = { kernel_shape: [kernel, kernel], strides: [stride, stride] };
    return onnx.op("MaxUnpool", [dy, indices, onnx.integers(shape)], unpool);
  }
  const zeros = onnx.op("ConstantOfShape", [onnx.integers([elementCount(shape)])]);
  const flat = [zeros, onnx.reshape(indices, [-1]), onnx.reshape(dy, [-1])];
  return onnx.reshape(onnx.op("ScatterElements", flat, { axis: 0, reduction: "add" }), shape);
}

/** 2x2 windows side by side: the four values of all windows as four planes, then a tournament as in window.ts. */
function poolTournamentGradient(onnx: OnnxWriter, shape: Shape, x: string, dy: string): string {
  const [batch = 1, channels = 1, height = 1, width = 1] = shape;
  const planes = batch * channels;
  const blocks = onnx.op("SpaceToDepth", [onnx.reshape(x, [1, planes, height, width])], { blocksize: 2 });
  const corners = onnx.ops("Split", [blocks, onnx.integers([planes, planes, planes, planes])], { axis: 1 }, 4);
  const [topLeft = "", topRight = "", bottomLeft = "", bottomRight = ""] = corners;
  const [top, bottom] = [onnx.op("Max", [topLeft, topRight]), onnx.op("Max", [bottomLeft, bottomRight])];
  const share = (gradient: string, first: string, second: string): readonly [string, string] => {
    const toFirst = onnx.op("Mul", [gradient, onnx.mask("GreaterOrEqual", first, second)]);
    return [toFirst, onnx.op("Sub", [gradient, toFirst])];
  };
  const [dTop, dBottom] = share(onnx.reshape(dy, [1, planes, height / 2, width / 2]), top, bottom);
  const [dTopLeft, dTopRight] = share(dTop, topLeft, topRight);
  const [dBottomLeft, dBottomRight] = share(dBottom, bottomLeft, bottomRight);
  const columns = onnx.op("Concat", [dTopLeft, dBottomLeft, dTopRight, dBottomRight], { axis: 1 });
  const rows = onnx.reshape(interleaveColumns(onnx, columns), [2, (planes * height) / 2, width]);
  return onnx.reshape(onnx.transpose(rows, [1, 0, 2]), shape);
}

/**
 * Two tensors of equal size, one behind the other, to one in which their elements take turns. Two such transposes put
 * 2x2 blocks together in half the time of DepthToSpace.
 */
export function interleaveColumns(onnx: OnnxWriter, both: string): string {
  return onnx.transpose(onnx.reshape(both, [2, -1]), [1, 0]);
}

export const averagePool: Operator<PoolAttributes> = {
  name: "averagePool",
  infer(inputs, attributes) {
    expectTypes("averagePool", inputs, ["float32"]);
    return [{ type: "float32", shape: pooledShape("averagePool", at(inputs, 0), attributes) }];
  },
  gradient(builder, { inputs, attributes }, [dy]) {
    const { shape } = at(inputs, 0);
    return dy === undefined ? [] : [() => builder.apply(averagePoolGradient, [dy], { ...attributes, shape })];
  },
  emit: (onnx, { attributes }, inputs) => [
    onnx.op("AveragePool", inputs, { ...onnxPool(attributes), count_include_pad: 1 }),
  ],
  anyBatch: true,
};

/** Spreads dy / kernel^2 over each window: a transposed convolution with one constant kernel for every channel. */
export const averagePoolGradient: Operator<PoolAttributes & { readonly shape: readonly number[] }> = {
  name: "averagePoolGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit: (onnx, node, inputs) => [spreadWindows(onnx, node, at(inputs, 0))],
};

function spreadWindows(
  onnx: OnnxWriter,
  node: Node<PoolAttributes & { readonly shape: readonly number[] }>,
  dy: string,
): string {
  const { kernel, stride, padding, shape } = node.attributes;
  const [batch = 1, channels = 1, height = 1, width = 1] = shape;
  const [, , rows = 1, columns = 1] = at(node.inputs, 0).shape;
  const share = Math.fround(1 / (kernel * kernel));
  const weight = onnx.floats(
    Array.from({ length: kernel * kernel }, () => share),
    [1, 1, kernel, kernel],
  );
  // Pixels behind the last window: they are in no window and get zero.
  const rest = [
    height - ((rows - 1) * stride + kernel - 2 * padding),
    width - ((columns - 1) * stride + kernel - 2 * padding),
  ];
  const planes = onnx.reshape(dy, [batch * channels, 1, rows, columns]);
  const spread = onnx.op("ConvTranspose", [planes, weight], {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    output_padding: rest,
  });
  return onnx.reshape(spread, shape);
}

export const globalAveragePool: Operator<None> = {
  name: "globalAveragePool",
  infer(inputs) {
    expectTypes("globalAveragePool", inputs, ["float32"]);
    const [batch, channels] = sizes4("globalAveragePool", at(inputs, 0));
    return [{ type: "float32", shape: [batch, channels, 1, 1] }];
  },
  gradient(builder, { inputs }, [dy]) {
    const { shape } = at(inputs, 0);
    return dy === undefined ? [] : [() => builder.apply(globalAveragePoolGradient, [dy], { shape })];
  },
  emit: (onnx, _node, inputs) => [onnx.op("GlobalAveragePool", inputs)],
  anyBatch: true,
};

export const globalAveragePoolGradient: Operator<{ readonly shape: readonly number[] }> = {
  name: "globalAveragePoolGradient",
  infer: (_inputs, { shape }) => [{ type: "float32", shape }],
  emit(onnx, { attributes: { shape } }, inputs) {
    const [, , height = 1, width = 1] = shape;
    const share = onnx.op("Mul", [at(inputs, 0), onnx.scalar(1 / (height * width))]);
    return [onnx.op("Expand", [share, onnx.integers(shape)])];
  },
};
