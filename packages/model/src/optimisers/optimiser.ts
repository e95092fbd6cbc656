import type { OptimizerSpec } from "@lockstep/spec";
import { adam } from "./adam.js";
import { sgd } from "./sgd.js";

/** What one optimiser step reads and writes; all vectors have P values. */
export interface OptimiserStep {
  readonly parameters: Float32Array;
  /** Gradient sums: P values or more, of which the first P are read. */
  readonly gradientSums: Float32Array;
  /** What a sum is multiplied by to give the mean gradient: 1 / samples. */
  readonly gradientScale: number;
  readonly slots: readonly Float32Array[];
  readonly scalars: Float64Array;
}

/**
 * PyTorch's update rule on flat vectors. Stored values are float32 (a typed array rounds when it is written, which is
 * Math.fround); all arithmetic between two stores is float64, in the order written, with + - * / and sqrt only, so that the bits
 * are the same on every machine.
 */
export interface Optimiser {
  /** Vectors kept between steps, by PyTorch's names: "momentum_buffer", "exp_avg". They start as zeros. */
  readonly slotNames: readonly string[];
  /** Float64 scalars kept between steps; they start as ones. */
  readonly scalarNames: readonly string[];
  /** Changes parameters, slots and scalars in place. */
  step(step: OptimiserStep): void;
}

/** The optimiser that a spec asks for. */
export function optimiserOf(spec: OptimizerSpec): Optimiser {
  return spec.name === "sgd" ? sgd(spec) : adam(spec);
}
