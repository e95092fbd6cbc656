/**
 * Everything that the next step depends on: S(position). Equal positions of one job hold equal bits everywhere.
 * Only update.ts writes to the arrays.
 */
export interface TrainingState {
  /** The last position applied, training or evaluation; 0 before the first. */
  position: number;
  /** Optimiser steps so far. */
  updates: number;
  /** Digest of the history that led here, in [0, 2^64); see the protocol's rule R18. */
  chain: bigint;
  /** P values, in the layout's order. */
  readonly parameters: Float32Array;
  /** B running statistics, in the layout's order. */
  readonly statistics: Float32Array;
  /** What the optimiser remembers, P values each: its slot names say what (optimisers/optimiser.ts). */
  readonly slots: readonly Float32Array[];
  /** Float64 scalars that the optimiser carries from step to step, such as Adam's powers of beta. */
  readonly scalars: Float64Array;
}
