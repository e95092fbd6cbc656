// Positions number every reduction of a job: training steps and evaluation steps alike.
//
//   one epoch:  train 0 .. T-1 | validation 0 .. V-1        T = ceil(training samples / G), V, W alike
//   last epoch: train 0 .. T-1 | validation 0 .. V-1 | test 0 .. W-1
//
// Position 0 is the state before anything was done; the first step is 1. The only place that divides by the global batch.

export type Phase = "train" | "validation" | "test";

/** What the positions of a job follow from. Counts of samples; all whole numbers. */
export interface Timetable {
  readonly trainSamples: number;
  readonly validationSamples: number;
  readonly testSamples: number;
  readonly epochs: number;
  /** G: samples in a global batch, of evaluation positions too. */
  readonly batchSize: number;
  /** M: micro-batches in a full global batch. */
  readonly microBatches: number;
}

/** Where a position lies. Ranges are half-open. */
export interface Place {
  /** 1 or more. */
  readonly position: number;
  /** 0-based. */
  readonly epoch: number;
  readonly phase: Phase;
  /** Step within the phase, 0-based. */
  readonly index: number;
  /** Steps in this phase. */
  readonly steps: number;
  /** Range of the phase's order of samples. */
  readonly firstSample: number;
  readonly endSample: number;
  /** M': fewer than M on a short last batch. */
  readonly microBatches: number;
}

/** Half-open range. */
export interface Range {
  readonly first: number;
  readonly end: number;
}

/** Samples in a full micro-batch: the global batch in M parts, rounded up. */
export function microBatchSamples(timetable: Timetable): number {
  return Math.ceil(timetable.batchSize / timetable.microBatches);
}

/** Samples in one pass of the phase. */
export function phaseSamples(timetable: Timetable, phase: Phase): number {
  switch (phase) {
    case "train":
      return timetable.trainSamples;
    case "validation":
      return timetable.validationSamples;
    case "test":
      return timetable.testSamples;
  }
}

/** Positions in one pass of the phase. */
export function phaseSteps(timetable: Timetable, phase: Phase): number {
  return Math.ceil(phaseSamples(timetable, phase) / timetable.batchSize);
}

/** F: the job's last position as the timetable has it. */
export function lastPosition(timetable: Timetable): number {
  return timetable.epochs * epochSteps(timetable) + phaseSteps(timetable, "test");
}

/** The last position of an epoch's training and validation (0-based epoch). */
export function epochEnd(timetable: Timetable, epoch: number): number {
  return (epoch + 1) * epochSteps(timetable);
}

/** Training steps among positions 1 .. position. */
export function trainingSteps(timetable: Timetable, position: number): number {
  const train = phaseSteps(timetable, "train");
  const epochs = Math.min(timetable.epochs, Math.floor(position / epochSteps(timetable)));
  const rest = epochs === timetable.epochs ? 0 : position - epochs * epochSteps(timetable);
  return epochs * train + Math.min(train, rest);
}

/**
 * @param position 1 to lastPosition
 * @throws Error for another position
 */
export function locate(timetable: Timetable, position: number): Place {
  if (!Number.isInteger(position) || position < 1 || position > lastPosition(timetable))
    throw new Error(`position ${position} is not one of 1 to ${lastPosition(timetable)}`);
  const perEpoch = epochSteps(timetable);
  const epoch = Math.min(timetable.epochs - 1, Math.floor((position - 1) / perEpoch));
  let index = position - 1 - epoch * perEpoch;
  for (const phase of ["train", "validation"] as const) {
    const steps = phaseSteps(timetable, phase);
    if (index < steps) return placeOf(timetable, { position, epoch, phase, index, steps });
    index -= steps;
  }
  return placeOf(timetable, { position, epoch, phase: "test", index, steps: phaseSteps(timetable, "test") });
}

/** Range of the phase's order that one micro-batch covers: all full, the last one of a batch may be short. */
export function microBatchRange(timetable: Timetable, place: Place, microBatch: number): Range {
  if (microBatch < 0 || microBatch >= place.microBatches)
    throw new Error(`micro-batch ${microBatch} of position ${place.position}, which has ${place.microBatches}`);
  const samples = microBatchSamples(timetable);
  const first = place.firstSample + microBatch * samples;
  return { first, end: Math.min(first + samples, place.endSample) };
}

function epochSteps(timetable: Timetable): number {
  return phaseSteps(timetable, "train") + phaseSteps(timetable, "validation");
}

function placeOf(timetable: Timetable, step: Pick<Place, "position" | "epoch" | "phase" | "index" | "steps">): Place {
  const firstSample = step.index * timetable.batchSize;
  const endSample = Math.min(firstSample + timetable.batchSize, phaseSamples(timetable, step.phase));
  return {
    ...step,
    firstSample,
    endSample,
    microBatches: Math.ceil((endSample - firstSample) / microBatchSamples(timetable)),
  };
}
