import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { InputError } from "@lockstep/spec";
import sharp from "sharp";
import { ChangedFileError } from "../file-check.js";
import { buildManifest, type DatasetManifest } from "../manifest.js";
import { pathOfFile } from "../file-table.js";
import { openSource } from "../source.js";
import { PixelReader, type PixelReaderOptions } from "./reader.js";

const side = 4;
const settings = {
  shape: { height: side, width: side, channels: 3 },
  resize: "crop",
  seed: 1,
  augmentation: { horizontalFlip: 0, randomCropPadding: 0 },
} as const;

const pngOf = (value: number) =>
  sharp(new Uint8Array(side * side * 3).fill(value), { raw: { width: side, height: side, channels: 3 } })
    .png()
    .toBuffer();

/** Twelve PNG files, each of one value: its sample index times ten. */
async function withReader(
  use: (reader: PixelReader, manifest: DatasetManifest, faults: Error[]) => Promise<void>,
  options: Partial<PixelReaderOptions> = {},
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-reader-"));
  const faults: Error[] = [];
  try {
    for (let k = 0; k < 12; k++) {
      mkdirSync(join(root, k < 6 ? "a" : "b"), { recursive: true });
      writeFileSync(join(root, k < 6 ? "a" : "b", `${String(k).padStart(2, "0")}.png`), await pngOf(10 * k));
    }
    const split = { train: 0.5, validation: 0.5, test: 0, seed: 0 };
    const manifest = await buildManifest(await openSource(root), { split });
    const onFault = (error: Error) => void faults.push(error);
    const reader = new PixelReader({ manifest, settings, decodeThreads: 2, cacheBytesMax: 1e6, onFault, ...options });
    try {
      await use(reader, manifest, faults);
    } finally {
      reader.close();
    }
  } finally {
    rmSync(root, { recursive: true });
  }
}

async function valueOf(reader: PixelReader, sample: number, epoch: number): Promise<number> {
  const out = new Uint8Array(reader.sampleBytes + 2).fill(255);
  await reader.read(sample, { epoch, train: true }, out, 1);
  assert.deepEqual([out[0], out.at(-1)], [255, 255], "nothing outside the sample's place is written");
  assert.equal(new Set(out.subarray(1, -1)).size, 1);
  return out[1] as number;
}

const all = Array.from({ length: 12 }, (_, k) => k);

test("samples are decoded once, many at a time, and served from memory in the next epoch", async () => {
  await withReader(async (reader) => {
    for (const epoch of [0, 1]) {
      const values = await Promise.all(all.map((sample) => valueOf(reader, sample, epoch)));
      assert.deepEqual(
        values,
        all.map((sample) => 10 * sample),
      );
    }
    assert.deepEqual(reader.statistics(), { cacheBytes: 12 * reader.sampleBytes, hits: 12, misses: 12 });
    assert.equal(reader.samplesLoaded, 12);
  });
});

test("sums are exact and those of parts add up to those of the whole", async () => {
  await withReader(async (reader, manifest) => {
    const train = [...manifest.splits.train].map((sample) => 10 * sample);
    const pixels = side * side;
    const expect = (values: number[], power: number) =>
      [0, 1, 2].map(() => BigInt(values.reduce((sum, value) => sum + value ** power, 0) * pixels));
    const whole = await reader.measure(0, train.length);
    assert.deepEqual(whole, { pixels: train.length * pixels, sums: expect(train, 1), squares: expect(train, 2) });
    const part = await reader.measure(2, 4);
    assert.deepEqual(part.sums, expect(train.slice(2, 4), 1));
  });
});

test("a file that changed before it is decoded stops the reading and names the file", async () => {
  await withReader(async (reader, manifest, faults) => {
    const path = pathOfFile(manifest, 3);
    writeFileSync(path, await pngOf(77));
    await assert.rejects(valueOf(reader, 3, 0), (thrown) => thrown instanceof ChangedFileError && thrown.path === path);
    await assert.rejects(valueOf(reader, 5, 0), ChangedFileError);
    assert.equal(faults.length, 1);
    assert.match(String(faults[0]?.message), /a\/03\.png changed/);
  });
});

test("a file that is gone is named too", async () => {
  await withReader(async (reader, manifest) => {
    rmSync(pathOfFile(manifest, 7));
    await assert.rejects(valueOf(reader, 7, 0), /b\/07\.png is gone/);
  });
});

test("a file changed while its sample is in memory is found by a check of files", async () => {
  await withReader(async (reader, manifest, faults) => {
    await Promise.all(all.map((sample) => valueOf(reader, sample, 0)));
    await reader.checkFiles();
    assert.equal(faults.length, 0);
    const path = pathOfFile(manifest, 4);
    const before = manifest.files.mtimeMs[4] as number;
    const content = readFileSync(path);
    content[content.length - 1] = (content.at(-1) as number) ^ 1; // same size: only the hash tells
    writeFileSync(path, content);
    utimesSync(path, before / 1000 + 10, before / 1000 + 10);
    await reader.checkFiles();
    assert.match(String(faults[0]?.message), /a\/04\.png changed/);
    await assert.rejects(valueOf(reader, 0, 1), ChangedFileError);
  });
});

test("an image that cannot be decoded is an error that names the file", async () => {
  const root = mkdtempSync(join(tmpdir(), "lockstep-reader-"));
  try {
    for (const name of ["a", "b"]) {
      mkdirSync(join(root, name));
      writeFileSync(join(root, name, "1.png"), (await pngOf(1)).subarray(0, 60));
    }
    const manifest = await buildManifest(await openSource(root), {
      split: { train: 1, validation: 0, test: 0, seed: 0 },
    });
    const reader = new PixelReader({ manifest, settings, decodeThreads: 1, cacheBytesMax: 1e6 });
    await assert.rejects(
      valueOf(reader, 1, 0),
      (thrown) => thrown instanceof InputError && thrown.where.endsWith("b/1.png"),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("grey files of plain pixels are served as they are stored, and resized where asked", async () => {
  const root = mkdtempSync(join(tmpdir(), "lockstep-reader-"));
  try {
    const images = Buffer.alloc(16 + 2 * 4);
    [0x803, 2, 2, 2].forEach((word, k) => images.writeUInt32BE(word, 4 * k));
    Buffer.from([1, 2, 3, 4, 9, 9, 9, 9]).copy(images, 16);
    writeFileSync(join(root, "train-images-idx3-ubyte"), images);
    writeFileSync(join(root, "train-labels-idx1-ubyte"), Buffer.from([0, 0, 8, 1, 0, 0, 0, 2, 0, 1]));
    const manifest = await buildManifest(await openSource(root), {
      split: { train: 1, validation: 0, test: 0, seed: 0 },
    });
    const read = async (width: number, sample: number) => {
      const shape = { height: width, width, channels: 1 } as const;
      const reader = new PixelReader({
        manifest,
        settings: { ...settings, shape },
        decodeThreads: 1,
        cacheBytesMax: 1e6,
      });
      const out = new Uint8Array(reader.sampleBytes);
      await reader.read(sample, { epoch: 0, train: false }, out, 0);
      return [...out];
    };
    assert.deepEqual(await read(2, 0), [1, 2, 3, 4]);
    assert.deepEqual(
      await read(3, 1),
      Array.from({ length: 9 }, () => 9),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});
