import { onnxElementTypes } from "./onnx.js";
import type { OnnxAttribute, OnnxConstant, OnnxGraph, OnnxNode, OnnxPort } from "./onnx.js";

/** Operators are used as this version of the ai.onnx set defines them; 18 is the first with ReduceSum-like axes everywhere. */
const opsetVersion = 18;
/** Version of the file format that belongs to opset 18 and 19. */
const irVersion = 9;

/**
 * A ModelProto, byte for byte, by the field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
 * `metadata` becomes metadata_props, in the order of its keys.
 */
export function encode(
  graph: OnnxGraph,
  options: { readonly metadata?: Readonly<Record<string, string>> } = {},
): Uint8Array {
  const model = new ProtobufWriter();
  model.integer(1, irVersion);
  model.text(2, "lockstep");
  model.message(7, (proto) => writeGraph(proto, graph));
  model.message(8, (proto) => {
    proto.text(1, "");
    proto.integer(2, opsetVersion);
  });
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    model.message(14, (proto) => {
      proto.text(1, key);
      proto.text(2, value);
    });
  }
  return model.finish();
}

function writeGraph(proto: ProtobufWriter, graph: OnnxGraph): void {
  for (const node of graph.nodes) proto.message(1, (inner) => writeNode(inner, node));
  proto.text(2, graph.name);
  for (const constant of graph.constants) proto.message(5, (inner) => writeTensor(inner, constant));
  for (const port of graph.inputs) proto.message(11, (inner) => writePort(inner, port));
  for (const port of graph.outputs) proto.message(12, (inner) => writePort(inner, port));
}

function writeNode(proto: ProtobufWriter, node: OnnxNode): void {
  for (const input of node.inputs) proto.text(1, input);
  for (const output of node.outputs) proto.text(2, output);
  proto.text(3, node.outputs[0] ?? "");
  proto.text(4, node.type);
  for (const [name, value] of Object.entries(node.attributes)) {
    proto.message(5, (inner) => writeAttribute(inner, name, value));
  }
}

function writeAttribute(proto: ProtobufWriter, name: string, value: OnnxAttribute): void {
  const type = { float: 1, integer: 2, text: 3, integers: 7 };
  proto.text(1, name);
  if (typeof value === "number") {
    proto.integer(3, value);
    proto.integer(20, type.integer);
  } else if (typeof value === "string") {
    proto.text(4, value);
    proto.integer(20, type.text);
  } else if ("float" in value) {
    proto.float(2, value.float);
    proto.integer(20, type.float);
  } else {
    for (const item of value) proto.integer(8, item);
    proto.integer(20, type.integers);
  }
}

function writeTensor(proto: ProtobufWriter, constant: OnnxConstant): void {
  for (const size of constant.shape) proto.integer(1, size);
  proto.integer(2, onnxElementTypes[constant.type]);
  proto.text(8, constant.name);
  proto.bytes(9, littleEndian(constant));
}

function writePort(proto: ProtobufWriter, port: OnnxPort): void {
  proto.text(1, port.name);
  proto.message(2, (type) => {
    type.message(1, (tensor) => {
      tensor.integer(1, onnxElementTypes[port.type]);
      tensor.message(2, (shape) => {
        for (const size of port.shape) {
          shape.message(1, (dimension) => {
            if (typeof size === "number") dimension.integer(1, size);
            else dimension.text(2, size);
          });
        }
      });
    });
  });
}

/** raw_data of a TensorProto: little-endian on every machine. */
function littleEndian(constant: OnnxConstant): Uint8Array {
  const { type, values } = constant;
  const elementBytes = type === "int64" ? 8 : type === "uint8" || type === "bool" ? 1 : 4;
  const bytes = new Uint8Array(values.length * elementBytes);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (type === "float32") view.setFloat32(i * 4, value, true);
    else if (type === "int64") view.setBigInt64(i * 8, BigInt(value), true);
    else if (type === "int32") view.setInt32(i * 4, value, true);
    else view.setUint8(i, value);
  }
  return bytes;
}

/** The part of protocol buffers that ONNX files use: https://protobuf.dev/programming-guides/encoding/ */
class ProtobufWriter {
  #buffer = new Uint8Array(256);
  #length = 0;

  integer(field: number, value: number): void {
    this.#tag(field, 0);
    this.#varint(BigInt.asUintN(64, BigInt(value)));
  }

  float(field: number, value: number): void {
    this.#tag(field, 5);
    this.#reserve(4);
    new DataView(this.#buffer.buffer).setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  text(field: number, value: string): void {
    this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, write: (inner: ProtobufWriter) => void): void {
    const inner = new ProtobufWriter();
    write(inner);
    this.bytes(field, inner.finish());
  }

  bytes(field: number, value: Uint8Array): void {
    this.#tag(field, 2);
    this.#varint(BigInt(value.length));
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #tag(field: number, wireType: number): void {
    this.#varint(BigInt(field * 8 + wireType));
  }

  #varint(value: bigint): void {
    this.#reserve(10);
    let rest = value;
    while (rest >= 128n) {
      this.#buffer[this.#length++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#buffer[this.#length++] = Number(rest);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + more));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
