import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { InputError } from "@lockstep/spec";
import { idxImages } from "./idx.js";
import { buildManifest } from "./manifest.js";
import { SampleFiles } from "./sample-files.js";
import { defaultImageSize, openSource } from "./source.js";

const pixelAt = (image: number, k: number) => (image * 31 + k * 7) % 256;

function imagesFile(count: number, height = 3, width = 2): Buffer {
  const file = Buffer.alloc(16 + count * height * width);
  [0x803, count, height, width].forEach((word, k) => file.writeUInt32BE(word, 4 * k));
  for (let k = 0; k < count * height * width; k++)
    file[16 + k] = pixelAt(Math.floor(k / (height * width)), k % (height * width));
  return file;
}

function labelsFile(labels: readonly number[]): Buffer {
  const file = Buffer.alloc(8);
  file.writeUInt32BE(0x801);
  file.writeUInt32BE(labels.length, 4);
  return Buffer.concat([file, Buffer.from(labels)]);
}

async function withFiles(files: Readonly<Record<string, Buffer>>, use: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-idx-"));
  try {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(join(root, name, ".."), { recursive: true });
      writeFileSync(join(root, name), content);
    }
    await use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const pair = (part: string, labels: readonly number[]) => ({
  [`${part}-images-idx3-ubyte.gz`]: gzipSync(imagesFile(labels.length)),
  [`${part}-labels-idx1-ubyte`]: labelsFile(labels),
});

test("both pairs make a training and a test part; labels are classes in the order of their values", async () => {
  await withFiles({ ...pair("train", [7, 0, 7]), ...pair("t10k", [3, 0]) }, async (root) => {
    const source = await openSource(root);
    assert.equal(source.format, "idx");
    assert.deepEqual(source.classes, ["0", "3", "7"]);
    assert.deepEqual([...source.labels], [2, 0, 2, 1, 0]);
    assert.deepEqual([...(source.ready?.part ?? [])], [0, 0, 0, 2, 2]);
    assert.deepEqual(source.ready?.present, { validation: false, test: true });
    assert.deepEqual(defaultImageSize(source), { imageSize: { height: 3, width: 2 }, channels: 1 });
    assert.equal(source.files.length, 4);
  });
});

test("pixels come from the right place of the right file, gzipped or not", async () => {
  const labels = [1, 0, 1, 0];
  const files = {
    ...pair("train", labels),
    "t10k-images-idx3-ubyte": imagesFile(2),
    "t10k-labels-idx1-ubyte": labelsFile([0, 1]),
  };
  await withFiles(files, async (root) => {
    const source = await openSource(root);
    const manifest = await buildManifest(source, { split: { train: 1, validation: 0, test: 0, seed: 0 } });
    const reading = new SampleFiles(manifest);
    assert.deepEqual(
      [...(await reading.raw(2))],
      [0, 1, 2, 3, 4, 5].map((k) => pixelAt(2, k)),
    );
    assert.deepEqual(
      [...(await reading.raw(5))],
      [0, 1, 2, 3, 4, 5].map((k) => pixelAt(1, k)),
    );
  });
});

test("a single pair is left to be split, and torchvision's folders are looked into", async () => {
  const files = Object.fromEntries(
    Object.entries(pair("t10k", [0, 1])).map(([name, content]) => [`MNIST/raw/${name}`, content]),
  );
  await withFiles(files, async (root) => {
    const source = await openSource(root);
    assert.equal(source.ready, undefined);
    assert.equal(source.root, join(root, "MNIST/raw"));
  });
});

test("the unpacked file that torchvision leaves beside the gzipped one is the same set", async () => {
  await withFiles({ ...pair("train", [0, 1]), "train-images-idx3-ubyte": imagesFile(2) }, async (root) => {
    assert.equal((await openSource(root)).labels.length, 2);
  });
});

test("damaged files are refused by name", async () => {
  const refusals: [string, Readonly<Record<string, Buffer>>, RegExp][] = [
    ["fewer labels than images", { ...pair("train", [0, 1]), "train-labels-idx1-ubyte": labelsFile([1]) }, /1 labels/],
    ["no labels", { "train-images-idx3-ubyte": imagesFile(1) }, /no file of labels/],
    [
      "cut short",
      { ...pair("train", [0, 1]), "train-images-idx3-ubyte.gz": imagesFile(2).subarray(0, -1) },
      /27 bytes/,
    ],
    [
      "damaged gzip",
      { ...pair("train", [0, 1]), "train-images-idx3-ubyte.gz": gzipSync(imagesFile(2)).subarray(0, 20) },
      /gzip/,
    ],
    ["another kind", { ...pair("train", [0, 1]), "train-images-idx3-ubyte.gz": labelsFile([0, 1]) }, /0x00000801/],
    ["two sets", { ...pair("emnist-letters-train", [0, 1]), ...pair("emnist-digits-train", [0, 1]) }, /several sets/],
  ];
  for (const [name, files, found] of refusals) {
    await withFiles(files, async (root) => {
      await assert.rejects(
        openSource(root),
        (thrown) => thrown instanceof InputError && found.test(thrown.found),
        name,
      );
    });
  }
});

test("a header that promises more than memory holds is refused before anything is taken", async () => {
  const bomb = Buffer.alloc(16);
  [0x803, 0xffffffff, 0xffff, 0xffff].forEach((word, k) => bomb.writeUInt32BE(word, 4 * k));
  await assert.rejects(idxImages(bomb, "bomb"), InputError);
});
