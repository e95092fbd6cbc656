/**
 * The integer fields that are reduced beside the vector, modulo 2^64 and so in any order:
 * samples, correct, loss in units of 2^-32, micro-batches that are not finite, sample hash; then, on evaluation positions, the
 * confusion matrix, classes x classes, [truth][predicted].
 */
import type { BatchResult } from "@lockstep/engine";
import { lossUnit, type Place } from "@lockstep/protocol";
import { SampleHashSum } from "@lockstep/random";
import type { SampledMicroBatch } from "./micro-batches.js";

/** Places of the fields. */
export const field = { samples: 0, correct: 1, loss: 2, notFinite: 3, sampleHash: 4, confusion: 5 } as const;
/** Larger sums would leave the 64-bit field; a loss of that size counts as not finite. */
const lossMax = 2 ** 30;

/** How many fields a place's counts have. */
export function countsLength(phase: Place["phase"], classes: number): number {
  return phase === "train" ? field.confusion : field.confusion + classes * classes;
}

/** Of one micro-batch of a training position. `firstPlace`: place of its first sample in the phase's order. */
export function trainingCounts(
  batch: SampledMicroBatch,
  result: BatchResult,
  epoch: number,
  firstPlace: number,
): BigUint64Array {
  const counts = new BigUint64Array(field.confusion);
  fillCounts(counts, batch, result, epoch, firstPlace);
  return counts;
}

/** Fills the fields that training and evaluation have in common. */
export function fillCounts(
  counts: BigUint64Array,
  batch: SampledMicroBatch,
  result: BatchResult,
  epoch: number,
  firstPlace: number,
): void {
  const isFinite = result.finite && Math.abs(result.loss) < lossMax;
  const hashes = new SampleHashSum();
  for (let i = 0; i < batch.samples; i++) hashes.add(epoch, firstPlace + i, batch.indices[i] as number);
  counts[field.samples] = BigInt(batch.samples);
  counts[field.correct] = BigInt(result.correct);
  counts[field.loss] = isFinite ? BigInt.asUintN(64, BigInt(Math.round(result.loss * lossUnit))) : 0n;
  counts[field.notFinite] = isFinite ? 0n : 1n;
  counts[field.sampleHash] = hashes.value;
}

/** Reduced counts by name. */
export interface Totals {
  readonly samples: number;
  readonly correct: number;
  /** Sum over samples in units of 2^-32. */
  readonly loss: bigint;
  readonly notFinite: number;
  readonly sampleHash: bigint;
  /** Empty on training positions. */
  readonly confusion: bigint[];
}

export function totalsOf(counts: BigUint64Array): Totals {
  const at = (index: number) => counts[index] as bigint;
  return {
    samples: Number(at(field.samples)),
    correct: Number(at(field.correct)),
    loss: BigInt.asIntN(64, at(field.loss)),
    notFinite: Number(at(field.notFinite)),
    sampleHash: at(field.sampleHash),
    confusion: [...counts.subarray(field.confusion)],
  };
}
