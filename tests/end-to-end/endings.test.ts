/** However a run ends, it says why, saves what it can, and leaves no process behind. */
import assert from "node:assert/strict";
import { appendFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  descendants,
  describe as describeProcess,
  type Ending,
  gone,
  startTraining,
  temporaryFolder,
  type Training,
} from "../cluster.js";
import { drawImageFolder } from "../images.js";

const goneMs = 15_000;
const cluster = ["--workers", "2", "--data-shards", "2", "--batch-size", "16", "--micro-batches", "4"];
const flags = [
  "animals",
  "--name",
  "run",
  "--image-size",
  "16",
  "--model",
  "simple-cnn",
  "--epochs",
  "10000",
  ...cluster,
];

interface LongRun {
  readonly folder: string;
  readonly files: readonly string[];
  readonly training: Training;
  /** Every process below the command, once training is under way. */
  readonly processes: readonly number[];
}

/** A run that would take hours, in its second epoch. */
async function startLongRun(context: { after(clean: () => Promise<void>): void }): Promise<LongRun> {
  const folder = await temporaryFolder(context);
  const files = await drawImageFolder(join(folder, "animals"), { classes: ["ant", "bee", "cat"], imagesPerClass: 20 });
  const training = startTraining({ cwd: folder, flags });
  context.after(async () => training.kill());
  await training.event((event) => event.type === "epoch");
  return { folder, files, training, processes: await descendants(training.pid) };
}

async function processOf(run: LongRun, service: string): Promise<number> {
  for (const pid of run.processes) if ((await describeProcess(pid))?.includes(service)) return pid;
  throw new Error(`no process of ${service} among ${run.processes.join(", ")}`);
}

async function assertSaved(run: LongRun, ending: Ending): Promise<void> {
  for (const file of ["model.onnx", "checkpoint.safetensors", "checkpoint.json"]) {
    const { size } = await stat(join(run.folder, "runs", "run", file));
    assert.ok(size > 0, file);
  }
  const files = (ending.last("summary") ?? ending.last("checkpoint"))?.["files"] as string[];
  assert.ok(files.some((file) => file.endsWith("model.onnx")));
}

describe("a run", () => {
  test("that is interrupted saves what is trained and says where", async (t) => {
    const run = await startLongRun(t);
    run.training.interrupt();
    const ending = await run.training.ended;
    assert.equal(ending.exitCode, 130);
    assert.equal(ending.last("summary")?.["cancelled"], true);
    await assertSaved(run, ending);
    await gone(run.processes, goneMs);
  });

  test("whose command is killed leaves no process", async (t) => {
    const run = await startLongRun(t);
    assert.ok(run.processes.length >= 5, "a coordinator, two data-shards and two workers");
    run.training.kill();
    await gone(run.processes, goneMs);
  });

  test("whose worker is killed ends with its last lines, and saves what is trained", async (t) => {
    const run = await startLongRun(t);
    process.kill(await processOf(run, "worker/dist/main.js"), "SIGKILL");
    const ending = await run.training.ended;
    assert.equal(ending.exitCode, 3);
    const message = String(ending.last("error")?.["message"]);
    assert.match(message, /worker-\d/);
    assert.match(message, /generation \d+\.\d+: rank/, "the last lines of its log");
    await assertSaved(run, ending);
    await gone(run.processes, goneMs);
  });

  test("whose file changes meanwhile ends naming it, and saves what is trained", async (t) => {
    const run = await startLongRun(t);
    const changed = run.files[7] as string;
    await appendFile(changed, "more");
    const ending = await run.training.ended;
    assert.equal(ending.exitCode, 3);
    assert.match(String(ending.last("error")?.["message"]), /ant\/ant-7\.png/);
    await assertSaved(run, ending);
    await gone(run.processes, goneMs);
  });
});
