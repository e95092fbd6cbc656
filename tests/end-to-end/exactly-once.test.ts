/** Each sample of an epoch is used exactly once, whoever computes it: from the workers' own account, and from the summed hash. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { SampleHashSum } from "@lockstep/random";
import { temporaryFolder, train } from "../cluster.js";
import { drawImageFolder } from "../images.js";
import { type SamplesLine, samplesLines, workerLogs } from "../worker-logs.js";

const epochs = 2;

test("3 workers and 2 data-shards use each sample once an epoch", async (t) => {
  const folder = await temporaryFolder(t);
  const classes = ["ant", "bee", "cat", "dog"];
  const files = await drawImageFolder(join(folder, "animals"), { classes, imagesPerClass: 33 });
  const flags = ["animals", "--workers", "3", "--data-shards", "2", "--name", "once", "--image-size", "16"];
  const training = ["--model", "simple-cnn", "--epochs", String(epochs), "--batch-size", "20", "--micro-batches", "4"];
  const ending = await train({
    cwd: folder,
    flags: [...flags, ...training, "--augment", "flip"],
    environment: { LOCKSTEP_LOG_LEVEL: "trace" },
  });
  const logs = await workerLogs(join(folder, "runs", "once"));
  assert.equal(logs.size, 3);
  const used = [...logs.values()].flatMap(samplesLines);
  const dataset = ending.last("dataset");

  const seen = new Set<number>();
  for (const phase of ["train", "validation", "test"] as const) {
    const passes = phase === "test" ? [epochs] : [1, 2];
    const samples = passes.map((epoch) => samplesInOrder(used, epoch, phase));
    for (const order of samples) {
      assert.equal(order.length, dataset?.[phase], `${phase}: as many as the split has`);
      assert.equal(new Set(order).size, order.length, `${phase}: none twice`);
      assert.deepEqual(sorted(order), sorted(samples[0] ?? []), `${phase}: the same in each epoch`);
    }
    for (const index of samples[0] ?? []) seen.add(index);
    if (phase === "train") assert.notDeepEqual(samples[0], samples[1], "in another order");
  }
  assert.deepEqual(
    sorted([...seen]),
    files.map((_, index) => index),
    "the splits together are the dataset",
  );

  for (const event of ending.events.filter(({ type }) => type === "epoch")) {
    const epoch = event["epoch"] as number;
    const hashes = new SampleHashSum();
    for (const [place, index] of samplesInOrder(used, epoch, "train").entries()) hashes.add(epoch - 1, place, index);
    assert.equal(event["sampleHash"], hashes.value.toString(16).padStart(16, "0"), `epoch ${epoch}`);
  }
});

/** Sample indices by their place in the phase's order. */
function samplesInOrder(lines: readonly SamplesLine[], epoch: number, phase: string): number[] {
  const parts = lines.filter((line) => line.epoch === epoch && line.phase === phase);
  let next = 0;
  return parts
    .toSorted((a, b) => a.firstPlace - b.firstPlace)
    .flatMap((part) => {
      assert.equal(part.firstPlace, next, "micro-batches follow one another without gap or overlap");
      next += part.indices.length;
      return part.indices;
    });
}

function sorted(indices: readonly number[]): number[] {
  return indices.toSorted((a, b) => a - b);
}
