// What is found wrong, and said, before any process is started.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { InputError, parseJobSpec, type JobSpec } from "@lockstep/spec";
import { explain } from "./explain.js";
import { outline } from "./prepare.js";

/** `samples` grey images of 8x6 in an IDX pair, their classes in turn. */
function idxFolder(t: TestContext, samples: number, classes: number): string {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-prepare-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const header = (...words: number[]) => Buffer.from(Uint32Array.from(words).buffer).swap32();
  const pixels = Buffer.from(Uint8Array.from({ length: samples * 48 }, (_, i) => (i * 37) % 256));
  const labels = Buffer.from(Uint8Array.from({ length: samples }, (_, i) => i % classes));
  writeFileSync(join(folder, "train-images-idx3-ubyte"), Buffer.concat([header(0x803, samples, 8, 6), pixels]));
  writeFileSync(join(folder, "train-labels-idx1-ubyte"), Buffer.concat([header(0x801, samples), labels]));
  return folder;
}

function specOf(path: string, changes: Record<string, unknown> = {}): JobSpec {
  const spec = { name: "digits", dataset: { path }, model: { architecture: "simple-cnn" }, ...changes };
  return parseJobSpec(spec, { origin: "job.yaml", baseFolder: "/" });
}

const refuses = (pattern: RegExp) => (error: unknown) => error instanceof InputError && pattern.test(error.message);

describe("the outline of a job", () => {
  test("resolves what the dataset decides: format, size, channels, micro-batches", async (t) => {
    const folder = idxFolder(t, 80, 4);
    const { spec, timetable, shards } = await outline(
      specOf(folder, { training: { batchSize: 64 }, cluster: { dataShards: 2 } }),
    );
    assert.deepEqual(spec.dataset.imageSize, { height: 8, width: 6 });
    assert.deepEqual([spec.dataset.format, spec.dataset.channels, spec.training.microBatches], ["idx", 1, 4]);
    assert.deepEqual([timetable.trainSamples, timetable.validationSamples, timetable.testSamples], [64, 8, 8]);
    assert.deepEqual([shards.shardCount, shards.ownersPerBlock], [2, 2]);
  });

  test("checks the model's shapes, naming layer and shapes", async (t) => {
    const folder = idxFolder(t, 40, 2);
    const layers = [{ type: "conv2d", filters: 4, kernel: 9 }, { type: "flatten" }, { type: "dense", units: 2 }];
    await assert.rejects(outline(specOf(folder, { model: { layers } })), refuses(/conv2d1/));
    const wrongEnd = [{ type: "flatten" }, { type: "dense", units: 3 }];
    await assert.rejects(outline(specOf(folder, { model: { layers: wrongEnd } })), refuses(/dense2|\[3\]/));
  });

  test("refuses a single class, and a normalisation of another number of channels", async (t) => {
    await assert.rejects(outline(specOf(idxFolder(t, 20, 1))), refuses(/1 class/));
    const normalize = { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] };
    const three = specOf(idxFolder(t, 40, 2), { preprocess: { normalize } });
    await assert.rejects(
      outline(three),
      refuses(/preprocess\.normalize\.mean: found 3 values; allowed: one a channel: 1/),
    );
  });

  test("refuses more classes than a confusion matrix fits a message", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "lockstep-prepare-"));
    t.after(() => rmSync(folder, { recursive: true }));
    for (let k = 0; k <= 1_000; k++) {
      mkdirSync(join(folder, `class-${k}`));
      writeFileSync(join(folder, `class-${k}`, "only.png"), "found out later");
    }
    await assert.rejects(outline(specOf(folder)), refuses(/found 1001 classes; allowed: 2 to 1,000 classes/));
  });

  test("names a folder that is not there", async () => {
    await assert.rejects(outline(specOf("/nowhere/at-all")), refuses(/\/nowhere\/at-all/));
  });
});

describe("explaining a job", () => {
  test("tells layers, sums, who computes what, and who serves what", async (t) => {
    const changes = { training: { batchSize: 256, epochs: 2 }, cluster: { workers: 3, dataShards: 2, threads: 6 } };
    const text = explain(await outline(specOf(idxFolder(t, 500, 5), changes)));
    // simple-cnn on 1x8x6: conv 16 filters of 3x3 with bias, pooled to 16x4x3, then 192 to 5 with bias.
    const parameters = 16 * 9 + 16 + 192 * 5 + 5;
    const multiplyAdds = 16 * 9 * 48 + 192 * 5;
    assert.match(
      text,
      new RegExp(`total +${parameters.toLocaleString("en-US")} +${multiplyAdds.toLocaleString("en-US")}`),
    );
    assert.match(text, /conv1 +conv2d +\[16, 8, 6\] +160/);
    // Eight micro-batches on three workers: 2, 3 and 3 of them.
    assert.match(text, /worker-1 +\[0, 2\) +\[0, 2\)/);
    assert.match(text, /worker-2 +\[2, 5\) +\[2, 4\) \[4, 5\)/);
    assert.match(text, /worker-3 +\[5, 8\) +\[5, 6\) \[6, 8\)/);
    assert.match(text, /400 train, 50 validation, 50 test/);
    assert.match(text, /data-shard-1 .*\n.*data-shard-2 /);
    // 500 samples in 63 blocks of a 32nd of a data-shard's share, the owners of each in turn.
    assert.match(text, /\n {2}0 +\[0, 8\) +data-shard-1, data-shard-2\n {2}1 +\[8, 16\) +data-shard-2, data-shard-1\n/);
    assert.match(text, /\n {2}7 +\[56, 64\) .*\n {2}\.\.\.\n {2}62 +\[496, 500\) +data-shard-1, data-shard-2$/m);
    // 2 x (2 training + 1 validation) + 1 test
    assert.match(text, /positions +7 in all/);
  });
});
