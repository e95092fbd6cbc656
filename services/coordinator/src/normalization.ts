// Mean and standard deviation of the training pixels from exact integer sums: the same whichever data-shard summed what.

import type { Measured } from "@lockstep/rpc";
import type { JobSpec, Normalization } from "@lockstep/spec";

/** Pixels that never change have no spread to divide by. */
const stdMin = 1 / 255;

/** Without a measurement, when the spec says what to do. */
export function givenNormalization(spec: JobSpec, channels: number): Normalization | undefined {
  const { normalize } = spec.preprocess;
  if (normalize === "measured") return undefined;
  if (normalize !== "none") return normalize;
  return { mean: Array.from({ length: channels }, () => 0), std: Array.from({ length: channels }, () => 1) };
}

/** Of pixels in [0, 1]; + - * / and square root alone, rounded to float32, so that every machine gets the same. */
export function measuredNormalization(parts: readonly Measured[], channels: number): Normalization {
  const pixels = parts.reduce((sum, part) => sum + part.pixels, 0);
  const mean: number[] = [];
  const std: number[] = [];
  for (let channel = 0; channel < channels; channel++) {
    const sum = parts.reduce((total, part) => total + BigInt(part.sums[channel] ?? 0), 0n);
    const squares = parts.reduce((total, part) => total + BigInt(part.squares[channel] ?? 0), 0n);
    const average = Number(sum) / pixels;
    const variance = Math.max(0, Number(squares) / pixels - average * average);
    mean.push(Math.fround(average / 255));
    std.push(Math.fround(Math.max(stdMin, Math.sqrt(variance) / 255)));
  }
  return { mean, std };
}
