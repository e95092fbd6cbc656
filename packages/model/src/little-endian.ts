// Files and the wire hold little-endian bytes; memory holds whatever the processor likes.

const isLittleEndianHost = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The values as little-endian bytes: a view where the processor is little-endian, else a copy. */
export function littleEndianBytes(values: Float32Array | Float64Array): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return isLittleEndianHost ? bytes : reverseEach(bytes.slice(), values.BYTES_PER_ELEMENT);
}

/** Little-endian bytes, at any alignment, as new float32 values; bytes beyond the last whole value are left out. */
export function float32FromLittleEndian(bytes: Uint8Array): Float32Array {
  const values = new Float32Array(Math.floor(bytes.length / 4));
  fromLittleEndian(bytes, values);
  return values;
}

/** Fills `values` from the first bytes given. */
export function fromLittleEndian(bytes: Uint8Array, values: Float32Array | Float64Array): void {
  const target = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  target.set(bytes.subarray(0, values.byteLength));
  if (!isLittleEndianHost) reverseEach(target, values.BYTES_PER_ELEMENT);
}

function reverseEach(bytes: Uint8Array, valueBytes: number): Uint8Array {
  for (let first = 0; first < bytes.length; first += valueBytes) bytes.subarray(first, first + valueBytes).reverse();
  return bytes;
}
