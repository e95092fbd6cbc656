import { availableParallelism } from "node:os";
import type { ClusterSpec } from "@lockstep/spec";

/** Threads that each process of a job on this machine keeps to, one at least. */
export interface ThreadBudget {
  /** Computing, of each worker. */
  readonly worker: number;
  /** Decoding, of each data-shard. */
  readonly dataShard: number;
}

/**
 * Workers share all threads, since computing is what a step waits for, and data-shards share as many: they decode each image
 * once, mostly before workers start (to measure the training pixels), and serve from memory afterwards.
 */
export function threadBudget(cluster: ClusterSpec): ThreadBudget {
  const threads = cluster.threads === 0 ? availableParallelism() : cluster.threads;
  return {
    worker: Math.max(1, Math.floor(threads / cluster.workers)),
    dataShard: Math.max(1, Math.floor(threads / cluster.dataShards)),
  };
}
