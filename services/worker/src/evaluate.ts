/** Evaluation positions: integer counts alone are reduced, so that no order of summation matters. */
import type { Evaluation } from "@lockstep/engine";
import { field, fillCounts } from "./counts.js";
import type { SampledMicroBatch } from "./micro-batches.js";

/** Of one micro-batch of an evaluation position. `firstPlace`: place of its first sample in the phase's order. */
export function evaluationCounts(
  batch: SampledMicroBatch,
  result: Evaluation,
  epoch: number,
  firstPlace: number,
  classes: number,
): BigUint64Array {
  const counts = new BigUint64Array(field.confusion + classes * classes);
  fillCounts(counts, batch, result, epoch, firstPlace);
  for (let i = 0; i < batch.samples; i++) {
    const cell = field.confusion + (batch.labels[i] as number) * classes + (result.predicted[i] as number);
    counts[cell] = (counts[cell] as bigint) + 1n;
  }
  return counts;
}
