import type { Place } from "@lockstep/protocol";
import type { PositionRecord } from "@lockstep/rpc";
import type { Totals } from "./counts.js";
import { JobFault } from "./job-fault.js";
import type { PhaseMs } from "./step-watch.js";
import type { Training } from "./training.js";

/**
 * What is done about losses and gradients that are not finite: the job stops before the update, naming the step.
 * Every worker decides this from the same reduced counts.
 */
export function refuseNotFinite(place: Place, totals: Totals): void {
  if (totals.notFinite === 0) return;
  const where = `${place.phase} step ${place.index + 1} of ${place.steps} in epoch ${place.epoch + 1}`;
  const what = place.phase === "train" ? "loss or gradient" : "loss";
  throw new JobFault(
    `The ${what} is not finite at ${where} (position ${place.position}, ` +
      `${totals.notFinite} of ${place.microBatches} micro-batches). Try a smaller learning rate.`,
  );
}

/** The record of a position that has just been applied. */
export function recordOf(training: Training, place: Place, totals: Totals, phaseMs: PhaseMs): PositionRecord {
  const { state, spec } = training;
  return {
    ...totals,
    position: place.position,
    learningRate: place.phase === "train" ? spec.optimizer.learningRate : 0,
    chain: state.chain,
    phaseMs: [phaseMs.wait, phaseMs.compute, phaseMs.reduce, phaseMs.apply],
  };
}
