// Real files. Where they lie is said by the environment variable LOCKSTEP_DATASETS: a folder with sign-language-digits
// (2,062 JPEG photographs in ten class folders) and mnist-10k (MNIST's t10k files).
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { PixelReader, type PixelSettings } from "./pixels/index.js";
import { buildManifest, type DatasetManifest, defaultImageSize, openSource } from "./index.js";

const folder = process.env["LOCKSTEP_DATASETS"];
const skip = folder === undefined ? "SKIPPED: set LOCKSTEP_DATASETS to the folder of real datasets" : false;
const split = { train: 0.8, validation: 0.1, test: 0.1, seed: 1 };
const digits = Array.from({ length: 10 }, (_, k) => String(k));

function readerOf(manifest: DatasetManifest, shape: PixelSettings["shape"]): PixelReader {
  const augmentation = { horizontalFlip: 0, randomCropPadding: 0 };
  const settings = { shape, resize: "crop", seed: 0, augmentation } as const;
  return new PixelReader({ manifest, settings, decodeThreads: 2, cacheBytesMax: 64 * 2 ** 20 });
}

test("2,062 photographs: every one is indexed, hashed and decoded", { skip }, async () => {
  const manifest = await buildManifest(await openSource(join(folder as string, "sign-language-digits")), { split });
  assert.deepEqual(manifest.classes, digits);
  const { train, validation, test: tested } = manifest.splits;
  assert.equal(train.length + validation.length + tested.length, 2062);
  const reader = readerOf(manifest, { height: 64, width: 64, channels: 3 });
  const { pixels, sums } = await reader.measure(0, train.length);
  assert.equal(pixels, train.length * 64 * 64);
  // Photographs, not noise or black: the mean of each channel lies well inside the range.
  for (const sum of sums) assert.ok(Number(sum) / pixels > 60 && Number(sum) / pixels < 220);
  reader.close();
});

test("MNIST's test files: the first image is the well-known seven", { skip }, async () => {
  const source = await openSource(join(folder as string, "mnist-10k"));
  const manifest = await buildManifest(source, { split });
  assert.deepEqual(manifest.classes, digits);
  assert.deepEqual([...manifest.labels.subarray(0, 8)], [7, 2, 1, 0, 4, 1, 4, 9]);
  const { imageSize, channels } = defaultImageSize(source);
  assert.deepEqual({ ...imageSize, channels }, { height: 28, width: 28, channels: 1 });
  const reader = readerOf(manifest, { ...imageSize, channels });
  const image = new Uint8Array(28 * 28);
  await reader.read(0, { epoch: 0, train: false }, image, 0);
  // Its stroke: the bar at the top, the stem below, nothing in the corners.
  assert.deepEqual([image[0], image[27 * 28 + 27]], [0, 0]);
  assert.ok((image[8 * 28 + 10] as number) > 200 && (image[20 * 28 + 14] as number) > 200);
  reader.close();
});
