// Test accuracy of `lockstep train` beside PyTorch's on the same MNIST-style dataset, split, batch size and recipe.
//
//   node bench/dist/accuracy.js FOLDER --torch PYTHON [--seeds 1,2,3] [--epochs 5] [--workers 2] [--markdown]
//
// FOLDER holds one pair of IDX files, as mnist-10k's t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.
// The recipe: simple-cnn, Adam 1e-3, global batch 32, channels normalised by the training set, no augmentation.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { openSource, splitSamples } from "@lockstep/dataset";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const batchSize = 32;
const learningRate = "1e-3";
const timeoutMs = 900_000;
/** Accuracies further apart than this are exit code 1. */
const differenceMax = 0.01;

interface Accuracy {
  readonly testAccuracy: number;
  readonly valAccuracy: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    torch: { type: "string" },
    seeds: { type: "string", default: "1,2,3" },
    epochs: { type: "string", default: "5" },
    workers: { type: "string", default: "2" },
    markdown: { type: "boolean", default: false },
  },
});
const folder = positionals[0];
if (folder === undefined || values.torch === undefined) {
  console.error("usage: accuracy.js FOLDER --torch PYTHON, FOLDER with one pair of IDX files, PYTHON with torch");
  process.exit(2);
}

async function lastJsonLine(command: string, words: readonly string[]): Promise<Accuracy> {
  const { stdout } = await run(command, words, { timeout: timeoutMs, maxBuffer: 64 << 20 });
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as Accuracy;
}

function lockstep(dataset: string, seed: string, runs: string): Promise<Accuracy> {
  const cli = join(root, "packages/cli/dist/main.js");
  const recipe = ["--model", "simple-cnn", "--epochs", values.epochs, "--lr", learningRate];
  const fixed = ["--batch-size", String(batchSize), "--workers", values.workers, "--runs-folder", runs, "--json"];
  return lastJsonLine(process.execPath, [cli, "train", dataset, ...recipe, ...fixed, "--split-seed", seed]);
}

async function pytorch(python: string, dataset: string, seed: string, scratch: string): Promise<Accuracy> {
  const source = await openSource(dataset);
  const { train, validation, test } = splitSamples(source, {
    train: 0.8,
    validation: 0.1,
    test: 0.1,
    seed: Number(seed),
  });
  const split = join(scratch, `split-${seed}.json`);
  await writeFile(split, JSON.stringify({ train: [...train], validation: [...validation], test: [...test] }));
  const names = await readdir(dataset);
  const file = (kind: string) => join(dataset, names.find((name) => name.includes(kind)) ?? kind);
  const recipe = ["--epochs", values.epochs, "--lr", learningRate, "--batch-size", String(batchSize), "--seed", seed];
  const script = join(root, "bench/peers/mnist_simple_cnn.py");
  return lastJsonLine(python, [script, file("images-idx3"), file("labels-idx1"), split, ...recipe]);
}

const scratch = await mkdtemp(join(tmpdir(), "lockstep-accuracy-"));
try {
  const line = values.markdown
    ? (cells: string[]) => `| ${cells.join(" | ")} |`
    : (cells: string[]) => cells.join("\t");
  console.log(line(["split seed", "lockstep", "PyTorch", "difference"]));
  if (values.markdown) console.log("|---|---|---|---|");
  for (const seed of values.seeds.split(",")) {
    const ours = await lockstep(resolve(folder), seed, join(scratch, "runs"));
    const peer = await pytorch(values.torch, resolve(folder), seed, scratch);
    const difference = ours.testAccuracy - peer.testAccuracy;
    if (!(Math.abs(difference) <= differenceMax)) process.exitCode = 1;
    console.log(line([seed, ours.testAccuracy.toFixed(4), peer.testAccuracy.toFixed(4), difference.toFixed(4)]));
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}
