// The safetensors format (huggingface/safetensors, README "Format"): 8 bytes little-endian header length, a JSON header
// {name: {dtype, shape, data_offsets: [first, end]}, "__metadata__": {text: text}}, then the values. Offsets count from the end of
// the header; tensors cover the data without gaps or overlaps. Files from elsewhere are read too, so nothing in a header is trusted.

import { InputError } from "@lockstep/spec";
import { float32FromLittleEndian, littleEndianBytes } from "./little-endian.js";
import { type Shape, formatShape, sizeOf } from "./shape.js";

const headerBytesMax = 16 * 2 ** 20; // a thousand layers need about 1 MiB
const rankMax = 8;

const valueBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** A float32 tensor to be written. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly values: Float32Array;
}

/** A tensor as it stands in a file. */
export interface StoredTensor {
  readonly name: string;
  /** The format's name: "F32", "I64". */
  readonly dtype: string;
  readonly shape: Shape;
  /** Little-endian values: a view of the file's bytes. */
  readonly bytes: Uint8Array;
}

export interface SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** The bytes of a file with these tensors, in this order: equal tensors and metadata give equal bytes. */
export function encodeSafetensors(
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, shape, values }): [string, unknown] => {
    if (sizeOf(shape) !== values.length) throw new Error(`${name}: ${values.length} values for ${formatShape(shape)}`);
    const first = end;
    end += values.byteLength;
    return [name, { dtype: "F32", shape, data_offsets: [first, end] }];
  });
  const header = JSON.stringify(Object.fromEntries([["__metadata__", metadata], ...entries]));
  const text = new TextEncoder().encode(header);
  const headerBytes = Math.ceil(text.length / 8) * 8; // values start at a multiple of 8, as the format asks
  const file = new Uint8Array(8 + headerBytes + end).fill(0x20, 8, 8 + headerBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(text, 8);
  let offset = 8 + headerBytes;
  for (const { values } of tensors) {
    file.set(littleEndianBytes(values), offset);
    offset += values.byteLength;
  }
  return file;
}

/**
 * Reads a file that is wholly in memory; tensors are views of its bytes.
 * @param origin the file's name, for errors
 * @throws InputError where the bytes are not a safetensors file
 */
export function decodeSafetensors(bytes: Uint8Array, origin: string): SafetensorsFile {
  const headerBytes = headerLength(bytes, origin);
  const header = parseHeader(bytes.subarray(8, 8 + headerBytes), origin);
  const data = bytes.subarray(8 + headerBytes);
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw damaged(origin, "a __metadata__ that is not text by text", "an object of strings");
  }
  const placed = Object.entries(entries).map(([name, entry]) => placedTensor(name, entry, data, origin));
  placed.sort((a, b) => a.first - b.first || a.end - b.end);
  let covered = 0;
  for (const { tensor, first, end } of placed) {
    if (first !== covered) {
      throw damaged(
        `${origin}: tensor "${tensor.name}"`,
        `values from byte ${first}`,
        `from ${covered}, without gap or overlap`,
      );
    }
    covered = end;
  }
  if (covered !== data.length)
    throw damaged(origin, `${data.length} bytes of values`, `${covered}, as the header says`);
  return {
    metadata: metadata as Record<string, string>,
    tensors: new Map(placed.map(({ tensor }) => [tensor.name, tensor])),
  };
}

/**
 * The values of a float32 tensor, as a copy.
 * @throws InputError for a tensor of another type
 */
export function float32Values(tensor: StoredTensor, origin: string): Float32Array {
  if (tensor.dtype !== "F32") throw damaged(`${origin}: tensor "${tensor.name}"`, `type ${tensor.dtype}`, "F32");
  return float32FromLittleEndian(tensor.bytes);
}

function headerLength(bytes: Uint8Array, origin: string): number {
  if (bytes.length < 8) throw damaged(origin, `${bytes.length} bytes`, "a safetensors file: 8 bytes and more");
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(Math.min(headerBytesMax, bytes.length - 8))) {
    const allowed = `at most ${headerBytesMax}, and no more than the file holds (${bytes.length - 8}); is it a safetensors file?`;
    throw damaged(origin, `a header of ${length} bytes`, allowed);
  }
  return Number(length);
}

function parseHeader(bytes: Uint8Array, origin: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged(origin, "a header that is not JSON", "a safetensors file", cause);
  }
  if (!isRecord(header)) throw damaged(origin, "a header that is not a JSON object", "a safetensors file");
  return header;
}

function placedTensor(name: string, entry: unknown, data: Uint8Array, origin: string) {
  const where = `${origin}: tensor "${name}"`;
  if (!isRecord(entry)) throw damaged(where, "no object", "{dtype, shape, data_offsets}");
  const { dtype, shape, data_offsets: offsets } = entry;
  const bytesEach = typeof dtype === "string" && Object.hasOwn(valueBytes, dtype) ? valueBytes[dtype] : undefined;
  if (typeof dtype !== "string" || bytesEach === undefined) {
    throw damaged(where, `type ${JSON.stringify(dtype)}`, Object.keys(valueBytes).join(", "));
  }
  if (!isWholeNumbers(shape) || shape.length > rankMax) {
    throw damaged(where, `shape ${JSON.stringify(shape)}`, `at most ${rankMax} whole numbers`);
  }
  const [first, end, ...rest] = isWholeNumbers(offsets) ? offsets : [];
  if (first === undefined || end === undefined || rest.length > 0 || first > end || end > data.length) {
    throw damaged(
      where,
      `data_offsets ${JSON.stringify(offsets)}`,
      `[first, end] within the file's ${data.length} bytes of values`,
    );
  }
  if (end - first !== sizeOf(shape) * bytesEach) {
    throw damaged(
      where,
      `${end - first} bytes`,
      `${sizeOf(shape) * bytesEach} for shape ${formatShape(shape)} of ${dtype}`,
    );
  }
  return { tensor: { name, dtype, shape, bytes: data.subarray(first, end) }, first, end };
}

function isWholeNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function damaged(where: string, found: string, allowed: string, cause?: unknown): InputError {
  return new InputError({ where, found, allowed, cause });
}
