/** The command line as people and scripts meet it: help, bad input, what is printed where, and what is left on the disk. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../cluster.js";
import { drawImageFolder } from "../images.js";

const commandLine = fileURLToPath(new URL("../../../packages/cli/dist/main.js", import.meta.url));

interface Ending {
  readonly exitCode: number;
  readonly output: string;
  readonly errors: string;
}

/** Far above what any command here takes: one that hangs is a failure, with what it said so far. */
const endMsMax = 120_000;

async function lockstep(words: readonly string[], cwd: string, environment: NodeJS.ProcessEnv = {}): Promise<Ending> {
  const child = spawn(process.execPath, [commandLine, ...words], {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const late = setTimeout(() => child.kill("SIGKILL"), endMsMax);
  const [output, errors, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  clearTimeout(late);
  return { exitCode: exitCode as number, output, errors };
}

describe("help", () => {
  const flags = {
    train: `model image-size epochs batch-size micro-batches lr optimizer seed workers data-shards name spec json split split-seed
      augment normalize resize threads runs-folder momentum nesterov weight-decay channels listen advertise cache-mib help`,
    explain: "model image-size workers data-shards spec json help",
    version: "help",
    help: "help",
  };
  for (const [command, names] of Object.entries(flags)) {
    test(`lockstep ${command} --help names every flag, says what is the default, and fits 110 columns`, async (context) => {
      const folder = await temporaryFolder(context);
      const { exitCode, output, errors } = await lockstep([command, "--help"], folder);
      assert.deepEqual([exitCode, errors], [0, ""]);
      for (const name of names.split(/\s+/)) assert.match(output, new RegExp(`^ {2}--${name}\\b`, "m"));
      assert.ok(output.split("\n").every((line) => line.length <= 110));
      assert.match(output, new RegExp(`^Usage: lockstep ${command}`, "m"));
      assert.equal(output, (await lockstep(["help", command], folder)).output);
    });
  }

  test("without a command the commands are listed, and it is no success", async (context) => {
    const folder = await temporaryFolder(context);
    const { exitCode, output, errors } = await lockstep([], folder);
    assert.deepEqual([exitCode, output], [2, ""]);
    for (const command of Object.keys(flags)) assert.match(errors, new RegExp(`^ {2}${command} `, "m"));
    assert.equal((await lockstep(["--help"], folder)).output, errors);
  });

  test("the version names Node and the platform", async (context) => {
    const { exitCode, output } = await lockstep(["--version"], await temporaryFolder(context));
    assert.equal(exitCode, 0);
    assert.match(output, /^lockstep \d+\.\d+\.\d+ \(Node \d+\.\d+\.\d+, \w+ \w+\)\n$/);
  });
});

/** Words of the command line, and the whole sentence, or its beginning where it ends with "..."; "photos" is a good folder of three classes with 12 images each. */
const bad: readonly [words: string, exitCode: number, sentence: string][] = [
  [
    "trian photos",
    2,
    'command line: found an unknown command "trian"; allowed: train, explain, version, help (did you mean "train"?)',
  ],
  ["train", 2, "train: found no dataset; allowed: lockstep train DIR or lockstep train --spec FILE"],
  ["train photos more", 2, "train: found 2 folders; allowed: one dataset folder"],
  ["train nowhere", 2, "CWD/nowhere: found nothing at this path; allowed: the folder of a dataset"],
  [
    "train empty",
    2,
    "CWD/empty: found no folder in it; allowed: a folder for each class, two at least, with its images inside",
  ],
  [
    "train photos --epoch 3",
    2,
    '--epoch: found an unknown flag; allowed: the flags of "lockstep train --help" (did you mean --epochs?)',
  ],
  ["train photos -w 2", 2, '-w: found an unknown flag; allowed: the flags of "lockstep train --help"'],
  ["train photos --epochs", 2, "--epochs: found no value; allowed: --epochs N"],
  ["train photos --epochs --seed 1", 2, "--epochs: found no value; allowed: --epochs N"],
  ["train photos --json=yes", 2, '--json: found the value "yes"; allowed: no value'],
  ["train photos --epochs ten", 2, '--epochs: found "ten"; allowed: a whole number from 1 to 100,000'],
  ["train photos --epochs 1.5", 2, "--epochs: found 1.5; allowed: a whole number from 1 to 100,000"],
  ["train photos --lr 0", 2, "--lr: found 0; allowed: a number above 0 and at most 1,000"],
  ["train photos --optimizer adm", 2, '--optimizer: found "adm"; allowed: sgd, adam, adamw (did you mean "adam"?)'],
  [
    "train photos --momentum 0.9",
    2,
    "--momentum: found a field that adam does not have; allowed: learningRate, weightDecay, beta1, beta2, epsilon",
  ],
  [
    "train photos --model smallcnn",
    2,
    '--model: found "smallcnn"; allowed: simple-cnn, small-cnn (did you mean "small-cnn"?)',
  ],
  [
    "train photos --model small-cnn:wdth=3",
    2,
    "--model: wdth: found a parameter that small-cnn does not have; allowed: width, dropout",
  ],
  [
    "train photos --workers 3",
    2,
    "--workers: found 3 workers for 2 micro-batches a global batch; allowed: at most one worker a micro-batch: fewer workers, or training.microBatches (--micro-batches) of at least 3, which changes the weights",
  ],
  [
    "train photos --batch-size 10 --micro-batches 7",
    2,
    "--micro-batches: found 7 micro-batches of 2 samples for a batch size of 10, of which the last would be empty; allowed: 5 or 10 for this batch size",
  ],
  [
    "train photos --split 0.9/0.2",
    2,
    "command line: dataset.split: found shares that sum to 1.1 (train 0.9, validation 0.2, test 0); allowed: a sum of at most 1",
  ],
  ["train photos --split half", 2, '--split: found "half"; allowed: TRAIN/VALIDATION/TEST, such as 0.8/0.1/0.1'],
  [
    "train photos --augment spin",
    2,
    '--augment: found "spin"; allowed: flip, flip=PROBABILITY, crop=PIXELS, none, with commas between',
  ],
  [
    "train photos --name ../out",
    2,
    '--name: found "../out"; allowed: 1 to 100 of a-z, 0-9, ".", "_", "-", starting with a letter or digit',
  ],
  ["train --spec missing.yaml", 2, "--spec missing.yaml: found no such file; allowed: a readable YAML or JSON file"],
  ["train --spec photos", 2, "--spec photos: found a folder; allowed: a readable YAML or JSON file"],
  [
    "train --spec typo.yaml",
    2,
    'typo.yaml: training.epoch: found an unknown key; allowed: epochs, batchSize, microBatches (did you mean "epochs"?)',
  ],
  [
    "train --spec shapes.yaml",
    2,
    'shapes.yaml: model: layer "dense1" (dense), the last one: found output [8]; allowed: [3], one value for each of the 3 classes',
  ],
  [
    "train photos --listen 127.0.0.1",
    2,
    '--listen: found "127.0.0.1"; allowed: host:port, such as "127.0.0.1:7000" or "[::1]:0"',
  ],
  [
    "train photos --listen 0.0.0.0:0",
    2,
    '--listen: found "0.0.0.0:0", which other machines can reach, and no join token; allowed: a loopback address such as 127.0.0.1:0, or any address with a join token in LOCKSTEP_TOKEN',
  ],
  [
    "train photos --listen OCCUPIED",
    4,
    'the coordinator did not start: --listen: found "OCCUPIED", which cannot be listened on: the port is in use; ...',
  ],
  ["explain nowhere", 2, "CWD/nowhere: found nothing at this path; allowed: the folder of a dataset"],
  ["explain photos --json --seed -1", 2, "--seed: found -1; allowed: a whole number from 0 to 2^53-1"],
  [
    "help tran",
    2,
    'command line: found an unknown command "tran"; allowed: train, explain, version, help (did you mean "train"?)',
  ],
];

test("bad input gives one sentence, an exit code and nothing on the disk", async (context) => {
  const folder = await temporaryFolder(context);
  await drawImageFolder(join(folder, "photos"), { classes: ["cat", "dog", "owl"], imagesPerClass: 12 });
  await mkdir(join(folder, "empty"));
  await writeFile(join(folder, "typo.yaml"), "dataset: photos\ntraining: {epoch: 3}\n");
  const layers = "[{type: flatten}, {type: dense, units: 8}]";
  await writeFile(join(folder, "shapes.yaml"), `dataset: photos\nmodel: {layers: ${layers}}\n`);
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  context.after(() => listener.close());
  const occupied = `127.0.0.1:${(listener.address() as { port: number }).port}`;
  const before = (await readdir(folder)).toSorted();
  for (const [words, exitCode, sentence] of bad) {
    await context.test(`lockstep ${words}`, async () => {
      const fill = (value: string) => value.replaceAll("OCCUPIED", occupied).replaceAll("CWD", folder);
      const ending = await lockstep(
        fill(words)
          .split(" ")
          .filter((word) => word !== ""),
        folder,
        { LOCKSTEP_TOKEN: "" },
      );
      const lines = ending.errors.trimEnd().split("\n");
      const [beginning = "", open] = `lockstep: ${fill(sentence)}`.split(" ...");
      const last = lines.at(-1) ?? "";
      assert.equal(open === undefined ? last : last.slice(0, beginning.length), beginning);
      assert.equal(ending.exitCode, exitCode);
      assert.doesNotMatch(ending.errors, /^ +at /m, "a stack trace");
      const expected = words.includes("--json ")
        ? `${JSON.stringify({ type: "error", message: fill(sentence), exitCode })}\n`
        : "";
      assert.equal(ending.output, expected);
      assert.deepEqual((await readdir(folder)).toSorted(), before);
    });
  }
});

test("explain prints layers, plan, shards and the graph's digest, and writes nothing", async (context) => {
  const folder = await temporaryFolder(context);
  await drawImageFolder(join(folder, "photos"), { classes: ["cat", "dog"], imagesPerClass: 20 });
  const words = [
    "explain",
    "photos",
    "--image-size",
    "32",
    "--workers",
    "2",
    "--data-shards",
    "2",
    "--normalize",
    "none",
  ];
  const { exitCode, output, errors } = await lockstep(words, folder);
  assert.deepEqual([exitCode, errors], [0, ""]);
  assert.match(output, /conv1 +conv2d +\[16, 32, 32\] +448 +442,368/);
  assert.match(output, /worker-2 +\[1, 2\)/);
  assert.match(output, /data-shard-2 +\d+/);
  assert.match(output, /digest +sha256 [0-9a-f]{64}/);
  assert.deepEqual(await readdir(folder), ["photos"]);
  const json = JSON.parse((await lockstep([...words, "--json"], folder)).output) as { graphDigest: string };
  assert.ok(output.includes(json.graphDigest));
});

test("a run for people tells accuracies and every file that it wrote, without escapes where nobody watches", async (context) => {
  const folder = await temporaryFolder(context);
  await drawImageFolder(join(folder, "photos"), { classes: ["cat", "dog"], imagesPerClass: 30 });
  const flags = ["--image-size", "16", "--model", "simple-cnn", "--epochs", "2", "--name", "first", "--threads", "2"];
  const { exitCode, output, errors } = await lockstep(["train", "photos", ...flags], folder);
  assert.equal(exitCode, 0, errors);
  assert.match(output, /^Done: 2 epochs, \d+ steps\.$/m);
  assert.match(output, /accuracy +test \d+\.\d%, validation \d+\.\d%/);
  assert.match(errors, /^Epoch 1\/2 {2}loss/m);
  assert.match(errors, /^Epoch 2\/2 {2}loss/m);
  assert.equal(`${output}${errors}`.includes("\u001b"), false);
  const run = join(folder, "runs", "first");
  assert.ok(output.includes(run));
  const files = (await readdir(run)).filter((name) => name !== "logs");
  for (const name of files) assert.match(output, new RegExp(`^ +${name}\\b`, "m"));
  assert.ok(files.includes("model.onnx") && files.includes("spec.yaml"));

  await context.test("its spec.yaml repeats it to the bit, in a folder of its own", async () => {
    const again = await lockstep(["train", "--spec", join(run, "spec.yaml"), "--json"], folder);
    assert.equal(again.exitCode, 0, again.errors);
    const events = again.output
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const summary = events.at(-1);
    assert.equal(summary?.["type"], "summary");
    assert.equal(summary["run"], "first-2");
    const checkpoint = JSON.parse(await readFile(join(run, "checkpoint.json"), "utf8")) as Record<string, unknown>;
    assert.equal(summary["parametersSha256"], checkpoint["parametersSha256"]);
  });
});
