import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@lockstep/spec";
import { decodeSafetensors, encodeSafetensors, float32Values } from "./safetensors.js";

/** A file made by hand: header length, header text, value bytes. */
function fileOf(header: unknown, data: readonly number[] = [], headerLength?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(headerLength ?? text.length), true);
  return Uint8Array.of(...length, ...text, ...data);
}

test("tensors, names and metadata survive a round trip", () => {
  const tensors = [
    { name: "conv1.weight", shape: [1, 2, 1, 2], values: Float32Array.of(1.5, -2, Math.fround(0.1), 3e-45) },
    { name: "empty", shape: [0], values: new Float32Array(0) },
    { name: "scalar", shape: [], values: Float32Array.of(-0) },
  ];
  const bytes = encodeSafetensors(tensors, { format: "pt", ключ: "значение" });
  const file = decodeSafetensors(bytes, "test");
  assert.deepEqual(file.metadata, { format: "pt", ключ: "значение" });
  for (const { name, shape, values } of tensors) {
    const stored = file.tensors.get(name);
    assert.ok(stored);
    assert.deepEqual(stored.shape, shape);
    assert.deepEqual(float32Values(stored, "test"), values);
  }
  assert.deepEqual(encodeSafetensors(tensors, { format: "pt", ключ: "значение" }), bytes);
});

test("a file made by hand, byte for byte as the format says", () => {
  const header = '{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8, " ");
  // 1 = 0x3f800000, -2 = 0xc0000000
  const bytes = fileOf(padded, [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
  assert.deepEqual(encodeSafetensors([{ name: "x", shape: [2], values: Float32Array.of(1, -2) }], { a: "b" }), bytes);
  // Read back from an odd place in memory.
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  const tensor = decodeSafetensors(shifted.subarray(1), "test").tensors.get("x");
  assert.ok(tensor);
  assert.deepEqual(float32Values(tensor, "test"), Float32Array.of(1, -2));
});

test("other types are listed, and refused as float32", () => {
  const bytes = fileOf({ count: { dtype: "I64", shape: [], data_offsets: [0, 8] } }, [7, 0, 0, 0, 0, 0, 0, 0]);
  const tensor = decodeSafetensors(bytes, "resnet.safetensors").tensors.get("count");
  assert.ok(tensor);
  assert.equal(tensor.dtype, "I64");
  assert.throws(
    () => float32Values(tensor, "resnet.safetensors"),
    /resnet.safetensors: tensor "count": found type I64/,
  );
});

const entry = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
const four = [0, 0, 0, 0];
const damages: readonly [string, Uint8Array, RegExp][] = [
  ["too short", new Uint8Array(7), /found 7 bytes/],
  ["a header longer than the file", fileOf({ x: entry }, four, 1000), /found a header of 1000 bytes/],
  ["a header length beyond any file", Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255), /18446744073709551615/],
  ["no JSON", fileOf("{", four), /a header that is not JSON/],
  ["no UTF-8", Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0xff), /a header that is not JSON/],
  ["no object", fileOf("[1]", []), /not a JSON object/],
  ["null", fileOf("null", []), /not a JSON object/],
  ["metadata that is no text", fileOf({ __metadata__: { a: 1 } }), /__metadata__/],
  ["an entry that is no object", fileOf({ x: 3 }), /tensor "x": found no object/],
  ["an unknown type", fileOf({ x: { ...entry, dtype: "toString" } }, four), /tensor "x": found type "toString"/],
  ["a negative dimension", fileOf({ x: { ...entry, shape: [-1] } }, four), /shape \[-1\]/],
  ["too many dimensions", fileOf({ x: { ...entry, shape: Array(9).fill(1) } }, four), /at most 8/],
  [
    "offsets beyond the file",
    fileOf({ x: { ...entry, shape: [2], data_offsets: [0, 8] } }, four),
    /data_offsets \[0,8\]/,
  ],
  ["offsets turned round", fileOf({ x: { ...entry, data_offsets: [4, 0] } }, four), /data_offsets \[4,0\]/],
  ["three offsets", fileOf({ x: { ...entry, data_offsets: [0, 4, 4] } }, four), /data_offsets \[0,4,4\]/],
  ["a shape of another size", fileOf({ x: { ...entry, shape: [2] } }, four), /4 bytes; allowed: 8 for shape \[2\]/],
  ["a shape that overflows", fileOf({ x: { ...entry, shape: [2 ** 40, 2 ** 40] } }, four), /found 4 bytes/],
  ["bytes that no tensor covers", fileOf({ x: entry }, [...four, 0]), /5 bytes of values; allowed: 4/],
  ["a gap", fileOf({ x: { ...entry, data_offsets: [4, 8] } }, [...four, ...four]), /from byte 4; allowed: from 0/],
  [
    "tensors that overlap",
    fileOf({ x: entry, y: entry }, four),
    /tensor "y": found values from byte 0; allowed: from 4/,
  ],
];

for (const [what, bytes, sentence] of damages) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => decodeSafetensors(bytes, "model.safetensors"),
      (error) => {
        assert.ok(error instanceof InputError, String(error));
        assert.match(error.message, /^model.safetensors/);
        assert.match(error.message, sentence);
        return true;
      },
    );
  });
}
