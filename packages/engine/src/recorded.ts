// For tests: testdata/architectures.json, recorded from PyTorch in float64 by scripts/references/architectures.py, and the
// formulas that stand in there for stored inputs.
import { readFileSync } from "node:fs";
import { buildNetwork, layoutOf, type Layout, type Network, sizeOf } from "@lockstep/model";
import type { ModelSpec, Normalization, OptimizerSpec } from "@lockstep/spec";

interface RecordedNetwork {
  readonly model: ModelSpec;
  readonly input: { readonly channels: number; readonly height: number; readonly width: number };
  readonly classes: number;
  readonly samples: number;
}

export interface RecordedGradients extends RecordedNetwork {
  readonly loss: number;
  readonly correct: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
  readonly statistics: Readonly<Record<string, readonly number[]>>;
  readonly evaluation: { readonly loss: number; readonly correct: number; readonly logits: readonly number[] };
}

export interface RecordedTraining extends RecordedNetwork {
  readonly batchSize: number;
  readonly steps: number;
  readonly cases: readonly {
    readonly name: string;
    readonly optimizer: OptimizerSpec;
    readonly losses: readonly number[];
    readonly parameters: Readonly<Record<string, readonly number[]>>;
  }[];
}

export interface Recorded {
  readonly torch: string;
  readonly normalize: Normalization;
  readonly gradients: readonly RecordedGradients[];
  readonly training: RecordedTraining;
}

export function readRecorded(): Recorded {
  return JSON.parse(readFileSync(new URL("../testdata/architectures.json", import.meta.url), "utf8")) as Recorded;
}

/** A recorded network as the engine's options need it, with its parameters and running statistics. */
export interface RecordedCase {
  readonly network: Network;
  readonly layout: Layout;
  readonly normalize: Normalization;
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
}

export function recordedCase(recorded: Recorded, { model, input, classes }: RecordedNetwork): RecordedCase {
  const network = buildNetwork(model, input, classes);
  const layout = layoutOf(network);
  const { mean, std } = recorded.normalize;
  const parameters = new Float32Array(layout.parameterCount);
  layout.parameters.forEach((entry, k) => {
    const normalised = entry.role === "scale" || entry.role === "shift";
    const scale = normalised ? 0.1 : 1 / Math.sqrt(fanIn(layout, entry.layer));
    for (let i = 0; i < entry.length; i++) {
      parameters[entry.offset + i] = (entry.role === "scale" ? 1 : 0) + scale * value(100 + k, i);
    }
  });
  const statistics = new Float32Array(layout.statisticCount);
  layout.statistics.forEach((entry, j) => {
    for (let i = 0; i < entry.length; i++) {
      const drawn = value(200 + j, i);
      statistics[entry.offset + i] = entry.role === "running-mean" ? 0.1 * drawn : 1 + 0.5 * drawn;
    }
  });
  const channels = input.channels;
  return {
    network,
    layout,
    normalize: { mean: mean.slice(0, channels), std: std.slice(0, channels) },
    parameters,
    statistics,
  };
}

function fanIn(layout: Layout, layer: string): number {
  const weight = layout.parameters.find((entry) => entry.layer === layer && entry.role === "weight");
  return weight === undefined ? NaN : sizeOf(weight.shape.slice(1));
}

/** In [-1, 1), exact in float32. */
export function value(stream: number, index: number): number {
  return (word(stream, index) >>> 8) / 2 ** 23 - 1;
}

export function byte(stream: number, index: number): number {
  return word(stream, index) >>> 24;
}

function word(stream: number, index: number): number {
  let x = (index + 1 + 1000003 * stream) >>> 0;
  for (let round = 0; round < 2; round++) {
    x ^= x >>> 16;
    x = Math.imul(x, 0x45d9f3b) >>> 0;
  }
  return (x ^ (x >>> 16)) >>> 0;
}

/** Largest difference from the reference over the reference's largest magnitude. */
export function relativeError(found: ArrayLike<number>, reference: readonly number[]): number {
  if (found.length !== reference.length) return Infinity;
  let difference = 0;
  let magnitude = 0;
  reference.forEach((wanted, i) => {
    const error = Math.abs((found[i] as number) - wanted);
    difference = Number.isNaN(error) ? Infinity : Math.max(difference, error);
    magnitude = Math.max(magnitude, Math.abs(wanted));
  });
  return difference / magnitude;
}
