// The byte form of a TrainingState, for transfer between workers and for its digest. All numbers little-endian:
//   0  "LSSTATE1"
//   8  position, updates                                 float64 each (whole numbers)
//  24  chain                                             uint64
//  32  P, B, number of slots, number of scalars          uint32 each
//  48  scalars float64, parameters, statistics, slots    float32

import { InputError, type OptimizerSpec } from "@lockstep/spec";
import type { Layout } from "./layout.js";
import { fromLittleEndian, littleEndianBytes } from "./little-endian.js";
import { optimiserOf } from "./optimisers/optimiser.js";
import type { TrainingState } from "./training-state.js";

const magic = Uint8Array.from([0x4c, 0x53, 0x53, 0x54, 0x41, 0x54, 0x45, 0x31]); // "LSSTATE1"
const headerBytes = 48;

/** The whole state as bytes: a copy, which later updates leave alone. */
export function packState(state: TrainingState): Uint8Array {
  const parts = stateParts(state);
  const packed = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    packed.set(part, offset);
    offset += part.length;
  }
  return packed;
}

/** The same bytes in pieces, most of them views of the state's own memory. */
export function stateParts(state: TrainingState): Uint8Array[] {
  const header = new Uint8Array(headerBytes);
  const view = new DataView(header.buffer);
  header.set(magic);
  view.setFloat64(8, state.position, true);
  view.setFloat64(16, state.updates, true);
  view.setBigUint64(24, state.chain, true);
  [state.parameters.length, state.statistics.length, state.slots.length, state.scalars.length].forEach(
    (count, index) => {
      view.setUint32(32 + 4 * index, count, true);
    },
  );
  return [header, ...[state.scalars, state.parameters, state.statistics, ...state.slots].map(littleEndianBytes)];
}

/**
 * A state from its bytes, in memory of its own.
 * @param origin for errors: where the bytes come from
 * @throws InputError where they are not a state of this layout and optimiser
 */
export function unpackState(
  bytes: Uint8Array,
  layout: Layout,
  optimizer: OptimizerSpec,
  origin: string,
): TrainingState {
  const { slotNames, scalarNames } = optimiserOf(optimizer);
  const counts = [layout.parameterCount, layout.statisticCount, slotNames.length, scalarNames.length] as const;
  const expectedBytes = packedStateBytes(layout, optimizer);
  if (bytes.length !== expectedBytes) {
    throw new InputError({
      where: origin,
      found: `a training state of ${bytes.length} bytes`,
      allowed: `${expectedBytes} bytes for this network and optimiser`,
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const found = [0, 1, 2, 3].map((index) => view.getUint32(32 + 4 * index, true));
  const position = view.getFloat64(8, true);
  const updates = view.getFloat64(16, true);
  const isWhole = [position, updates].every((value) => Number.isSafeInteger(value) && value >= 0);
  const hasMagic = magic.every((byte, index) => bytes[index] === byte);
  if (!hasMagic || !isWhole || found.join() !== counts.join()) {
    throw new InputError({
      where: origin,
      found: "bytes that are not a training state of this network and optimiser",
      allowed: `"LSSTATE1", whole positions, and counts ${counts.join(", ")}`,
    });
  }

  let offset = headerBytes;
  const read = <Values extends Float32Array | Float64Array>(values: Values): Values => {
    fromLittleEndian(bytes.subarray(offset), values);
    offset += values.byteLength;
    return values;
  };
  const scalars = read(new Float64Array(scalarNames.length));
  const parameters = read(new Float32Array(layout.parameterCount));
  const statistics = read(new Float32Array(layout.statisticCount));
  const slots = slotNames.map(() => read(new Float32Array(layout.parameterCount)));
  return { position, updates, chain: view.getBigUint64(24, true), parameters, statistics, slots, scalars };
}

/** Size of a packed state. */
export function packedStateBytes(layout: Layout, optimizer: OptimizerSpec): number {
  const { slotNames, scalarNames } = optimiserOf(optimizer);
  const values = layout.parameterCount * (1 + slotNames.length) + layout.statisticCount;
  return headerBytes + 8 * scalarNames.length + 4 * values;
}
