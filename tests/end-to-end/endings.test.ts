/** However a run ends, it says why, saves what it can, and leaves no process behind. */
import assert from "node:assert/strict";
import { appendFile, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseManifest } from "@lockstep/model";
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

  for (const service of ["worker", "data-shard"]) {
    test(`whose ${service} is killed ends with its last lines, and saves what is trained`, async (t) => {
      const run = await startLongRun(t);
      process.kill(await processOf(run, `${service}/dist/main.js`), "SIGKILL");
      const ending = await run.training.ended;
      assert.equal(ending.exitCode, 3);
      const { message, lastLines } = ending.last("error") as { message?: string; lastLines?: string[] };
      assert.match(message ?? "", new RegExp(`^${service}-\\d ended with SIGKILL \\(log: .*\\.log\\)$`));
      assert.match(lastLines?.join("\n") ?? "", new RegExp(`\\d\\d:\\d\\d:\\d\\d\\.\\d+ info +${service}-\\d`));
      const told = [`lockstep: ${message}`, ...(lastLines ?? []).map((line) => `  ${line}`), ""].join("\n");
      assert.ok(ending.standardError.endsWith(told), ending.standardError);
      await assertSaved(run, ending);
      await gone(run.processes, goneMs);
    });
  }

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

  test("whose loss is not finite ends naming the step, and saves the last finite state", async (t) => {
    const folder = await temporaryFolder(t);
    await drawImageFolder(join(folder, "animals"), { classes: ["ant", "bee", "cat"], imagesPerClass: 20 });
    const diverging = ["--optimizer", "sgd", "--lr", "1000", "--weight-decay", "1"]; // weights times -999 each step
    const ending = await startTraining({ cwd: folder, flags: [...flags, ...diverging] }).ended;
    assert.equal(ending.exitCode, 3);
    const message = String(ending.last("error")?.["message"]);
    const position = Number(/not finite at train step \d of 3 in epoch \d+ \(position (\d+)/.exec(message)?.[1]);
    assert.ok(position > 1, message);
    const manifest = parseManifest(await readFile(join(folder, "runs", "run", "checkpoint.json")), "run");
    assert.equal(manifest.position, position - 1);
  });
});
