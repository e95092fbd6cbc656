import type { Reduced } from "@lockstep/collective";
import { chainDigest } from "@lockstep/protocol";
import { crc32c } from "@lockstep/rpc";

/** The grid that checksums are taken on: fixed, so that they do not depend on how the vector was cut for the wire. */
const gridBytes = 1024 * 1024;

/** c(s) of rule R18, over the reduced vector and the reduced counts. */
export function nextChain(before: bigint, reduced: Reduced): bigint {
  const { sums, counts, position } = reduced;
  return chainDigest(before, position, [...checksums(sums), ...checksums(counts)]);
}

/** In the machine's byte order, which is little-endian wherever Node runs ONNX Runtime. */
function* checksums(values: Float32Array | BigUint64Array): Generator<number> {
  for (let offset = 0; offset < values.byteLength; offset += gridBytes) {
    const length = Math.min(gridBytes, values.byteLength - offset);
    yield crc32c(new Uint8Array(values.buffer, values.byteOffset + offset, length));
  }
}
