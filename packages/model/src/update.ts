// The only place that changes a TrainingState. Everything an update needs is in memory before the first write, and there is no
// await in here: a state is at `position` whole, or at the next one whole (the protocol's rule R3).

import type { OptimizerSpec } from "@lockstep/spec";
import type { Layout } from "./layout.js";
import { optimiserOf } from "./optimisers/optimiser.js";
import type { TrainingState } from "./training-state.js";

/** The reduced vector of one training position. */
export interface ReducedGradient {
  /**
   * P gradient sums over all samples, then B sums over micro-batches of their batch means and batch variances. Variances are
   * unbiased, PyTorch's rule for running_var; that of a micro-batch with one value a channel is the biased one, 0.
   */
  readonly sums: Float32Array;
  /** Samples that the gradient sums hold: the size of this global batch. */
  readonly samples: number;
  /** Micro-batches that the statistics' sums hold. */
  readonly microBatches: number;
}

/**
 * Applies one training position: gradient sum to mean, running statistics, optimiser step, position + 1.
 * @throws Error, with the state untouched, where a length or a count does not fit
 */
export function applyUpdate(
  state: TrainingState,
  reduced: ReducedGradient,
  layout: Layout,
  optimizer: OptimizerSpec,
): void {
  const optimiser = optimiserOf(optimizer);
  checkFit(state, reduced, layout, optimiser.slotNames.length);
  updateStatistics(state.statistics, reduced, layout);
  optimiser.step({
    parameters: state.parameters,
    gradientSums: reduced.sums,
    gradientScale: 1 / reduced.samples,
    slots: state.slots,
    scalars: state.scalars,
  });
  state.updates += 1;
  state.position += 1;
}

/** Applies one evaluation position: nothing but the position changes. */
export function applyEvaluation(state: TrainingState): void {
  state.position += 1;
}

/**
 * running = (1 - momentum) * running + momentum * (mean over micro-batches of the batch statistic), in float64, rounded once
 * when stored. One micro-batch: PyTorch's rule for running_mean and running_var.
 */
function updateStatistics(statistics: Float32Array, reduced: ReducedGradient, layout: Layout): void {
  const { sums, microBatches } = reduced;
  for (const { offset, length, momentum } of layout.statistics) {
    for (let i = offset; i < offset + length; i++) {
      const mean = (sums[layout.parameterCount + i] as number) / microBatches;
      statistics[i] = (1 - momentum) * (statistics[i] as number) + momentum * mean;
    }
  }
}

function checkFit(state: TrainingState, reduced: ReducedGradient, layout: Layout, slotCount: number): void {
  const vectorLength = layout.parameterCount + layout.statisticCount;
  if (reduced.sums.length !== vectorLength) {
    throw new Error(`the reduced vector holds ${reduced.sums.length} values, the layout ${vectorLength}`);
  }
  if (state.parameters.length !== layout.parameterCount || state.statistics.length !== layout.statisticCount) {
    throw new Error("the training state was made for another layout");
  }
  if (state.slots.length !== slotCount) throw new Error("the training state was made for another optimiser");
  if (!(reduced.samples >= 1) || !(reduced.microBatches >= 1)) {
    throw new Error(`a training position holds ${reduced.samples} samples in ${reduced.microBatches} micro-batches`);
  }
}
