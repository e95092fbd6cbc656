import { endianness } from "node:os";

type Column = Int32Array | Uint32Array | Float64Array;

/** The bytes of a column as they are stored and hashed: a view, since every platform of Node.js but one is little-endian. */
export function littleEndian(column: Column): Uint8Array {
  if (endianness() !== "LE") throw new Error("big-endian processors are not supported");
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}
