import assert from "node:assert/strict";
import { test } from "node:test";
import sharp from "sharp";
import { decodeImage, resizeRaw } from "./decode.js";
import type { PixelSettings } from "./settings.js";

function sized(width: number, height: number, channels: 1 | 3 = 3, resize: PixelSettings["resize"] = "crop") {
  return { shape: { height, width, channels }, resize };
}

/** Pixels that all differ, so that a wrong order shows. */
function pattern(width: number, height: number, channels: number): Uint8Array {
  return Uint8Array.from({ length: width * height * channels }, (_, k) => (k * 37 + (k >> 3)) % 256);
}

function encoder(pixels: Uint8Array, width: number, height: number, channels: 1 | 2 | 3 | 4) {
  return sharp(pixels, { raw: { width, height, channels } });
}

test("lossless images at their own size come back exactly: PNG, WebP, TIFF", async () => {
  const pixels = pattern(7, 5, 3);
  const image = () => encoder(pixels, 7, 5, 3);
  for (const encoded of [image().png(), image().webp({ lossless: true }), image().tiff({ compression: "lzw" })]) {
    assert.deepEqual([...(await decodeImage(await encoded.toBuffer(), sized(7, 5)))], [...pixels]);
  }
});

test("a JPEG comes back within its loss", async () => {
  const flat = new Uint8Array(16 * 16 * 3).map((_, k) => [200, 30, 90][k % 3] as number);
  const decoded = await decodeImage(await encoder(flat, 16, 16, 3).jpeg({ quality: 100 }).toBuffer(), sized(16, 16));
  decoded.forEach((value, k) => assert.ok(Math.abs(value - (flat[k] as number)) <= 2));
});

test("of a GIF with several frames the first is taken", async () => {
  const frames = Uint8Array.from({ length: 2 * 4 * 4 * 3 }, (_, k) => (k < 4 * 4 * 3 ? 255 : 0));
  const gif = await sharp(frames, { raw: { width: 4, height: 8, channels: 3, pageHeight: 4 } })
    .gif()
    .toBuffer();
  assert.equal((await sharp(gif).metadata()).pages, 2);
  assert.deepEqual(new Set(await decodeImage(gif, sized(4, 4))), new Set([255]));
});

test("grey becomes three equal channels, and one channel stays exact", async () => {
  const grey = pattern(6, 4, 1);
  const png = await encoder(grey, 6, 4, 1).toColourspace("b-w").png().toBuffer();
  assert.deepEqual([...(await decodeImage(png, sized(6, 4, 1)))], [...grey]);
  assert.deepEqual(
    [...(await decodeImage(png, sized(6, 4)))],
    [...grey].flatMap((value) => [value, value, value]),
  );
});

test("transparency is laid on black", async () => {
  const pixels = Uint8Array.of(200, 100, 50, 255, 200, 100, 50, 0);
  const png = await encoder(pixels, 2, 1, 4).png().toBuffer();
  assert.deepEqual([...(await decodeImage(png, sized(2, 1)))], [200, 100, 50, 0, 0, 0]);
});

test("16 bits a channel become 8", async () => {
  const png = await encoder(pattern(3, 3, 3), 3, 3, 3)
    .toColourspace("rgb16")
    .png()
    .toBuffer();
  assert.equal((await sharp(png).metadata()).depth, "ushort");
  const decoded = await decodeImage(png, sized(3, 3));
  decoded.forEach((value, k) => assert.ok(Math.abs(value - (pattern(3, 3, 3)[k] as number)) <= 1));
});

test("the EXIF orientation is applied: a quarter turn swaps the sides", async () => {
  // Two rows of three; orientation 6 means: to be shown turned clockwise.
  const rows = Uint8Array.of(10, 20, 30, 40, 50, 60);
  const image = encoder(rows, 3, 2, 1).toColourspace("b-w").withMetadata({ orientation: 6 });
  const tiff = await image.tiff({ compression: "none" }).toBuffer();
  assert.equal((await sharp(tiff).metadata()).orientation, 6);
  assert.deepEqual([...(await decodeImage(tiff, sized(2, 3, 1)))], [40, 10, 50, 20, 60, 30]);
});

test("crop keeps proportions and cuts both ends alike; stretch does not", async () => {
  // Left quarter black, middle half grey, right quarter white.
  const wide = Uint8Array.from({ length: 40 * 10 }, (_, k) => (k % 40 < 10 ? 0 : k % 40 < 30 ? 128 : 255));
  const png = await encoder(wide, 40, 10, 1).toColourspace("b-w").png().toBuffer();
  const cropped = await decodeImage(png, sized(20, 10, 1));
  assert.deepEqual(new Set(cropped), new Set([128]));
  const stretched = await decodeImage(png, sized(20, 10, 1, "stretch"));
  assert.deepEqual([stretched[0], stretched[10], stretched[19]], [0, 128, 255]);
});

test("images cut short or damaged are refused", async () => {
  const jpeg = await encoder(pattern(64, 64, 3), 64, 64, 3)
    .jpeg()
    .toBuffer();
  await assert.rejects(decodeImage(jpeg.subarray(0, jpeg.length / 2), sized(64, 64)));
  const png = await encoder(pattern(64, 64, 3), 64, 64, 3)
    .png()
    .toBuffer();
  await assert.rejects(decodeImage(png.subarray(0, png.length / 2), sized(64, 64)));
  await assert.rejects(decodeImage(Buffer.from("no image"), sized(64, 64)));
});

test("an image of more pixels than the limit is refused before it is decoded", async () => {
  const header = await encoder(new Uint8Array(3), 1, 1, 3).png().toBuffer();
  header.writeUInt32BE(60_000, 16);
  header.writeUInt32BE(60_000, 20);
  await assert.rejects(decodeImage(header, sized(8, 8)));
});

test("plain pixels: planes are interleaved, grey is spread, sizes change", async () => {
  const planes = Uint8Array.of(1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24);
  const shape = { height: 2, width: 2, channels: 3, layout: "chw" } as const;
  const interleaved = [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24];
  assert.deepEqual([...(await resizeRaw(planes, shape, sized(2, 2)))], interleaved);
  const grey = { height: 1, width: 2, channels: 1, layout: "hwc" } as const;
  assert.deepEqual([...(await resizeRaw(Uint8Array.of(5, 9), grey, sized(2, 1)))], [5, 5, 5, 9, 9, 9]);
  const doubled = await resizeRaw(new Uint8Array(4).fill(77), { ...grey, height: 2 }, sized(4, 4, 1));
  assert.deepEqual(
    [...doubled],
    Array.from({ length: 16 }, () => 77),
  );
});
