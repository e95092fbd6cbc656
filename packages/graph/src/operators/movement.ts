import { at, elementCount, expectTypes, sameShape, shapeText } from "../operator.js";
import type { Operator, Shape } from "../operator.js";

/** A tensor that is part of the graph. */
export const constant: Operator<{ readonly values: ArrayLike<number>; readonly shape: Shape }> = {
  name: "constant",
  infer(_inputs, { values, shape }) {
    if (values.length !== elementCount(shape)) {
      throw new Error(`constant: ${values.length} values do not fill the shape ${shapeText(shape)}`);
    }
    return [{ type: "float32", shape }];
  },
  emit: (onnx, { attributes }) => [onnx.constant("float32", attributes.shape, attributes.values)],
  anyBatch: true,
};

export const reshape: Operator<{ readonly shape: Shape }> = {
  name: "reshape",
  infer(inputs, { shape }) {
    expectTypes("reshape", inputs, ["float32"]);
    const x = at(inputs, 0);
    if (elementCount(x.shape) !== elementCount(shape)) {
      throw new Error(`reshape: ${shapeText(x.shape)} has another number of elements than ${shapeText(shape)}`);
    }
    return [{ type: "float32", shape }];
  },
  gradient(builder, { inputs }, [dy]) {
    return dy === undefined ? [] : [() => builder.reshape(dy, at(inputs, 0).shape)];
  },
  emit(onnx, { attributes: { shape }, inputs }, names) {
    const from = at(inputs, 0).shape;
    if (sameShape(from, shape)) return names;
    if (onnx.anyBatch && from[0] === shape[0]) return [onnx.reshape(at(names, 0), [0, ...shape.slice(1)])];
    return [onnx.reshape(at(names, 0), shape)];
  },
  anyBatch: true,
};

export const concat: Operator<{ readonly axis: number }> = {
  name: "concat",
  infer(inputs, { axis }) {
    expectTypes(
      "concat",
      inputs,
      inputs.map(() => "float32"),
    );
    const first = at(inputs, 0).shape;
    if (axis < 0 || axis >= first.length) throw new Error(`concat: no axis ${axis} in ${shapeText(first)}`);
    const withoutAxis = (shape: Shape): Shape => shape.toSpliced(axis, 1);
    for (const { shape } of inputs) {
      if (shape.length !== first.length || !sameShape(withoutAxis(shape), withoutAxis(first))) {
        throw new Error(`concat: ${shapeText(first)} and ${shapeText(shape)} may differ only along axis ${axis}`);
      }
    }
    const joined = inputs.reduce((size, input) => size + at(input.shape, axis), 0);
    return [{ type: "float32", shape: first.with(axis, joined) }];
  },
  gradient(builder, { inputs, attributes: { axis } }, [dy]) {
    if (dy === undefined) return [];
    let end = 0;
    return inputs.map(({ shape }) => {
      const first = end;
      end += at(shape, axis);
      const range = { axis, first, end };
      return () => builder.apply(slice, [dy], range);
    });
  },
  emit: (onnx, { attributes }, inputs) => [onnx.op("Concat", inputs, { axis: attributes.axis })],
  anyBatch: true,
};

/** The half-open range [first, end) of one axis: the gradient of a concatenation. */
export const slice: Operator<{ readonly axis: number; readonly first: number; readonly end: number }> = {
  name: "slice",
  infer(inputs, { axis, first, end }) {
    const { shape } = at(inputs, 0);
    if (axis >= shape.length || first < 0 || first >= end || end > at(shape, axis)) {
      throw new Error(`slice: no range ${first} to ${end} on axis ${axis} of ${shapeText(shape)}`);
    }
    return [{ type: "float32", shape: shape.with(axis, end - first) }];
  },
  emit: (onnx, { attributes: { axis, first, end } }, inputs) => [onnx.slice(at(inputs, 0), [first], [end], [axis])],
};
