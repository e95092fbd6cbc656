import type { SlotShape } from "./lane-messages.js";

/** Views into a slot's shared memory; the same on both sides. */
export interface Slot {
  /** float32 [P + B]: gradient sums, then batch statistics. */
  readonly vector: Float32Array;
  /** [samplesMax]. */
  readonly labels: Int32Array;
  /** [samplesMax]. */
  readonly predicted: Int32Array;
  /** [samplesMax x sampleBytes]. */
  readonly pixels: Uint8Array;
}

export function makeSlotMemory(shape: SlotShape): SharedArrayBuffer {
  const words = shape.vectorLength + 2 * shape.samplesMax;
  return new SharedArrayBuffer(4 * words + shape.samplesMax * shape.sampleBytes);
}

export function viewSlot(memory: SharedArrayBuffer, { vectorLength, samplesMax, sampleBytes }: SlotShape): Slot {
  const labelsAt = 4 * vectorLength;
  const predictedAt = labelsAt + 4 * samplesMax;
  return {
    vector: new Float32Array(memory, 0, vectorLength),
    labels: new Int32Array(memory, labelsAt, samplesMax),
    predicted: new Int32Array(memory, predictedAt, samplesMax),
    pixels: new Uint8Array(memory, predictedAt + 4 * samplesMax, samplesMax * sampleBytes),
  };
}
