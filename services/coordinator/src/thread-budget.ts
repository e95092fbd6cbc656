import { availableParallelism } from "node:os";
import type { Outline } from "./prepare.js";

/** Threads that each process of a job on this machine keeps to, one at least. */
export interface ThreadBudget {
  /** Computing, of each worker. */
  readonly worker: number;
  /** Decoding, of each data-shard. */
  readonly dataShard: number;
}

export type BudgetedJob = Pick<Outline, "spec"> & { readonly source: { readonly labels: { readonly length: number } } };

/**
 * Where the decoded samples fit the data-shards' caches, data-shards and workers take turns, and each side has all threads:
 * an image is decoded once, mostly before workers start (to measure the training pixels), and served from memory afterwards.
 * Where they do not fit, images are decoded in every epoch beside the computing, and each side has half of the threads.
 */
export function threadBudget({ spec, source }: BudgetedJob): ThreadBudget {
  const { workers, dataShards, threads: wanted, cacheMiB } = spec.cluster;
  const { imageSize, channels } = spec.dataset;
  const threads = wanted === 0 ? availableParallelism() : wanted;
  const decodedBytes = source.labels.length * imageSize.height * imageSize.width * channels;
  const fits = decodedBytes <= cacheMiB * 2 ** 20 * dataShards;
  const decoding = fits ? threads : Math.floor(threads / 2);
  const computing = fits ? threads : threads - decoding;
  return { worker: share(computing, workers), dataShard: share(decoding, dataShards) };
}

function share(threads: number, processes: number): number {
  return Math.max(1, Math.floor(threads / processes));
}
