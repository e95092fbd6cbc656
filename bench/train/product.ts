import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Comparison, median, type Round, type Setting } from "./report.js";
import type { TorchPeer } from "./torch-peer.js";

/** Large enough that an epoch's start weighs little, small enough to stay decoded in the data-shard's cache. */
const trainSamples = 20_480;
const epochs = 4;
const classes = 10;
const torchImagesPerBlock = 10_240;

/**
 * `lockstep train` as a user runs it: coordinator, one data-shard and one worker as processes, sharing the thread budget. Images per
 * second are those of whole epochs after the first, when every image has been decoded: from one epoch's end to the next by this
 * process's clock, so that a short validation and everything between epochs is in them.
 */
export async function measureProduct(torch: TorchPeer, setting: Setting, rounds: number): Promise<Comparison> {
  const folder = await mkdtemp(join(tmpdir(), "lockstep-bench-"));
  const torchSteps = Math.ceil(torchImagesPerBlock / setting.batch);
  const measured: Round[] = [];
  try {
    await writeDataset(join(folder, "images"));
    await torch.best(setting.batch, torchSteps);
    for (let round = 0; round < rounds; round++) {
      const before = await torch.best(setting.batch, torchSteps);
      const ours = await trainOnce(folder, setting);
      const after = await torch.best(setting.batch, torchSteps);
      measured.push({ ours, torch: (before + after) / 2 });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { what: "lockstep train", setting, rounds: measured };
}

/** CIFAR-10's binary form: a label byte, then 3072 bytes of planes a sample. */
async function writeDataset(folder: string): Promise<void> {
  await mkdir(folder);
  const names = Array.from({ length: classes }, (_, index) => `class${index}`);
  await writeFile(join(folder, "batches.meta.txt"), names.join("\n") + "\n");
  const file = (samples: number, salt: number): Buffer => {
    const bytes = Buffer.alloc(samples * 3073);
    for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(i + salt, 2654435761) >>> 24;
    for (let sample = 0; sample < samples; sample++) bytes[sample * 3073] = sample % classes;
    return bytes;
  };
  for (let part = 0; part < 5; part++)
    await writeFile(join(folder, `data_batch_${part + 1}.bin`), file(trainSamples / 5, part));
  await writeFile(join(folder, "test_batch.bin"), file(256, 99));
}

async function trainOnce(folder: string, { threads, batch }: Setting): Promise<number> {
  const spec = {
    name: "bench",
    dataset: { path: join(folder, "images"), split: { train: 0.99, validation: 0.01, test: 0, seed: 0 } },
    model: { architecture: "simple-cnn" },
    optimizer: { name: "adam", learningRate: 1e-3 },
    training: { epochs, batchSize: batch },
    cluster: { workers: 1, dataShards: 1, threads },
  };
  const specFile = join(folder, "job.json");
  await writeFile(specFile, JSON.stringify(spec));
  const cli = fileURLToPath(new URL("../../../packages/cli/dist/main.js", import.meta.url));
  const child = spawn(process.execPath, [cli, "train", "--spec", specFile, "--json"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const rates: number[] = [];
  let epochStarted: number | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line) as Record<string, unknown>;
    if (event["type"] !== "epoch") continue;
    const now = performance.now();
    if (epochStarted !== undefined) rates.push(Number(event["samples"]) / ((now - epochStarted) / 1000));
    epochStarted = now;
  }
  const [code] = (await exited) as [number | null];
  if (code !== 0) throw new Error(`lockstep train ended with exit code ${code}; its message is above`);
  if (rates.length === 0) throw new Error("lockstep train reported fewer than two epochs");
  return median(rates);
}
