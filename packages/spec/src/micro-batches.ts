/**
 * How a global batch of G samples is cut into M micro-batches: each has ceil(G/M) samples but the last, which may have fewer.
 * M comes from the spec alone, never from the number of workers, so that weights do not depend on the cluster.
 */
import { InputError } from "./input-error.js";
import type { ClusterSpec, TrainingSpec } from "./job-spec.js";

/** batchSize/16 rounded down to a power of two, 1 to 8. */
export function defaultMicroBatches(batchSize: number): number {
  let microBatches = 1;
  while (microBatches < 8 && microBatches * 2 <= batchSize / 16) microBatches *= 2;
  return microBatches;
}

/** Samples of a full micro-batch. */
export function microBatchSamples(batchSize: number, microBatches: number): number {
  return Math.ceil(batchSize / microBatches);
}

/** Micro-batches of a global batch, with "auto" decided. */
export function resolveMicroBatches(training: TrainingSpec): number {
  return training.microBatches === "auto" ? defaultMicroBatches(training.batchSize) : training.microBatches;
}

/** @throws InputError where the batch cannot be cut into so many parts of ceil(G/M) samples, none of them empty */
export function checkMicroBatches(training: TrainingSpec, where: string): void {
  const { batchSize } = training;
  const microBatches = resolveMicroBatches(training);
  const cut = (parts: number) => Math.ceil(batchSize / microBatchSamples(batchSize, parts));
  if (cut(microBatches) === microBatches) return;
  const fewer = cut(Math.min(microBatches, batchSize));
  let more = microBatches + 1;
  while (more <= batchSize && cut(more) !== more) more += 1;
  const near = more <= batchSize ? `${fewer} or ${more}` : String(fewer);
  const found =
    microBatches > batchSize
      ? `${microBatches} micro-batches for a batch size of ${batchSize}`
      : `${microBatches} micro-batches of ${microBatchSamples(batchSize, microBatches)} samples for a batch size of ${batchSize}, of which the last would be empty`;
  throw new InputError({ where, found, allowed: `${near} for this batch size` });
}

/** @throws InputError where some workers would never have a micro-batch to compute */
export function checkWorkers(training: TrainingSpec, cluster: ClusterSpec, where: string): void {
  const microBatches = resolveMicroBatches(training);
  if (cluster.workers <= microBatches) return;
  const advice =
    cluster.workers <= training.batchSize
      ? `fewer workers, or training.microBatches (--micro-batches) of at least ${cluster.workers}, which changes the weights`
      : "fewer workers, or a larger batch size in more micro-batches";
  throw new InputError({
    where,
    found: `${cluster.workers} workers for ${microBatches} micro-batch${microBatches === 1 ? "" : "es"} a global batch`,
    allowed: `at most one worker a micro-batch: ${advice}`,
  });
}
