/** model.onnx alone, in plain ONNX Runtime, says what the trainer's engine says of the same image file. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { decodeImage, pixelSettings } from "@lockstep/dataset/pixels";
import { type Engine, openEngine } from "@lockstep/engine";
import { buildNetwork, decodeCheckpoint, layoutOf, parseManifest, readCheckpoint } from "@lockstep/model";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { temporaryFolder, train, writeSpec } from "../cluster.js";
import { drawImageFolder } from "../images.js";

const classes = ["ant", "bee", "cat", "dog"];
const size = 16;
const layers = [
  { type: "conv2d", filters: 8, kernel: 3, padding: 1 },
  { type: "batch-norm" },
  { type: "relu" },
  { type: "max-pool", kernel: 2 },
  { type: "flatten" },
  { type: "dropout", rate: 0.2 },
  { type: "dense", units: classes.length },
];

test("model.onnx gives the trainer's probabilities within 1e-5", async (t) => {
  const folder = await temporaryFolder(t);
  const images = join(folder, "animals");
  const files = await drawImageFolder(images, { classes, imagesPerClass: 20, size });
  const spec = await writeSpec(folder, "spec", {
    dataset: { path: images, imageSize: { height: size, width: size } },
    model: { layers },
    training: { epochs: 2, batchSize: 16, microBatches: 4 },
  });
  await train({ cwd: folder, flags: ["--spec", spec, "--name", "exported", "--workers", "2"] });
  const run = join(folder, "runs", "exported");

  const session = await InferenceSession.create(await readFile(join(run, "model.onnx")));
  const { engine, settings } = await trainerOf(run);
  const photograph = join(folder, "photograph.jpg");
  await drawPhotograph(photograph);
  for (const file of [files[0], files[25], files[50], files[79], photograph] as string[]) {
    const pixels = await decodeImage(await readFile(file), settings);
    const { probabilities } = await session.run({ image: new Tensor("uint8", pixels, [1, size, size, 3]) });
    const exported = [...((probabilities as Tensor).data as Float32Array)];
    assert.ok(Math.abs(exported.reduce((sum, value) => sum + value, 0) - 1) < 1e-5);
    for (const [label, probability] of exported.entries()) {
      const trainers = await probabilityOf(engine, pixels, label);
      assert.ok(Math.abs(trainers - probability) < 1e-5, `${file}: class ${label}, ${probability}, not ${trainers}`);
    }
  }
  await engine.close();
  await session.release();
});

/** A JPEG larger than the model's image and not square, lying on its side: its EXIF orientation says how to turn it. */
async function drawPhotograph(path: string): Promise<void> {
  const [width, height] = [61, 43];
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, k) => {
    const [x, y, channel] = [Math.floor(k / 3) % width, Math.floor(k / 3 / width), k % 3];
    return channel === 0 ? x * 4 : channel === 1 ? y * 5 : (x * y) % 256;
  });
  const image = sharp(pixels, { raw: { width, height, channels: 3 } });
  await image.withMetadata({ orientation: 6 }).jpeg().toFile(path);
  assert.equal((await sharp(path).metadata()).orientation, 6);
}

async function probabilityOf(engine: Engine, pixels: Uint8Array, label: number): Promise<number> {
  const labels = Int32Array.of(label);
  const { loss } = await engine.evaluate({ position: 1, microBatch: 0, samples: 1, pixels, labels });
  return Math.exp(-loss);
}

/** The engine that trained, with the weights of the checkpoint, and the settings by which images became its pixels. */
async function trainerOf(run: string) {
  const checkpoint = await readCheckpoint(run);
  const { spec, classes: names } = parseManifest(checkpoint.manifest, run);
  const { imageSize, channels } = spec.dataset;
  const network = buildNetwork(spec.model, { channels, ...imageSize }, names.length);
  const layout = layoutOf(network);
  const state = decodeCheckpoint(checkpoint, layout, run);
  const { normalize } = spec.preprocess;
  const engine = await openEngine({
    network,
    layout,
    normalize,
    seed: spec.seed,
    microBatchSamples: 1,
    threads: 1,
    lanesMax: 1,
  });
  engine.load(state.parameters, state.statistics);
  return { engine, settings: pixelSettings(spec) };
}
