import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseJobSpec } from "@lockstep/spec";
import { type BudgetedJob, threadBudget } from "./thread-budget.js";

const mebibyte = 2 ** 20;

/** Samples of 1 MiB each, decoded. */
function jobOf(cluster: object, samples: number): BudgetedJob {
  const text = JSON.stringify({ dataset: { path: "photos" }, cluster });
  const spec = parseJobSpec(text, { origin: "test", baseFolder: "/" });
  const imageSize = { height: 1_024, width: 1_024 };
  const dataset = { ...spec.dataset, format: "folder", imageSize, channels: 1 } as const;
  assert.equal(imageSize.height * imageSize.width * dataset.channels, mebibyte);
  const training = { ...spec.training, microBatches: 8 };
  return { spec: { ...spec, dataset, training }, source: { labels: { length: samples } } };
}

describe("threads", () => {
  test("are shared twice where the decoded samples fit the caches: decoding ends before computing begins", () => {
    const cluster = { workers: 2, dataShards: 4, threads: 8, cacheMiB: 100 };
    assert.deepEqual(threadBudget(jobOf(cluster, 400)), { worker: 4, dataShard: 2 });
  });

  test("are shared once where one sample more than fits is decoded in every epoch", () => {
    const cluster = { workers: 2, dataShards: 4, threads: 8, cacheMiB: 100 };
    assert.deepEqual(threadBudget(jobOf(cluster, 401)), { worker: 2, dataShard: 1 });
  });

  test("that are odd in number compute rather than decode", () => {
    const cluster = { workers: 1, dataShards: 1, threads: 7, cacheMiB: 16 };
    assert.deepEqual(threadBudget(jobOf(cluster, 1_000)), { worker: 4, dataShard: 3 });
  });

  test("are one at least for each process", () => {
    const cluster = { workers: 2, dataShards: 3, threads: 1, cacheMiB: 16 };
    assert.deepEqual(threadBudget(jobOf(cluster, 1)), { worker: 1, dataShard: 1 });
    assert.deepEqual(threadBudget(jobOf(cluster, 1_000)), { worker: 1, dataShard: 1 });
  });
});
