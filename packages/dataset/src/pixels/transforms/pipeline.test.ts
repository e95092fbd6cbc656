import assert from "node:assert/strict";
import { test } from "node:test";
import type { PixelSettings } from "../settings.js";
import { randomCrop } from "./crop.js";
import { horizontalFlip } from "./flip.js";
import { Pipeline } from "./pipeline.js";

const shape = { height: 3, width: 4, channels: 3 } as const;
const pixels = Uint8Array.from({ length: 36 }, (_, k) => k + 1);

/** Draws that come from a list; fails when asked for more. */
function listed(...values: number[]) {
  const next = () => {
    const value = values.shift();
    assert.notEqual(value, undefined, "more draws than expected");
    return value as number;
  };
  return { uint32: next, uniform: next, below: next, fill: () => assert.fail() };
}

/** The definition, pixel by pixel: zero outside. */
function shifted(down: number, right: number): number[] {
  const at = (y: number, x: number, c: number) =>
    y < 0 || y >= shape.height || x < 0 || x >= shape.width ? 0 : (pixels[(y * shape.width + x) * 3 + c] as number);
  const result = [];
  for (let y = 0; y < shape.height; y++)
    for (let x = 0; x < shape.width; x++) for (let c = 0; c < 3; c++) result.push(at(y + down, x + right, c));
  return result;
}

test("random crop cuts out of the zero-padded image, at every place that can be drawn", () => {
  const padding = 5; // more than the image is wide: some places show nothing of it
  for (let down = 0; down <= 2 * padding; down++) {
    for (let right = 0; right <= 2 * padding; right++) {
      const out = new Uint8Array(36).fill(99);
      randomCrop(padding)(pixels, out, shape, listed(down, right));
      assert.deepEqual([...out], shifted(down - padding, right - padding), `${down}, ${right}`);
    }
  }
});

test("the flip mirrors columns and keeps channels together, with its probability", () => {
  const out = new Uint8Array(36);
  horizontalFlip(0.5)(pixels, out, shape, listed(0.49));
  assert.deepEqual([...out.subarray(0, 12)], [10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3]);
  horizontalFlip(0.5)(pixels, out, shape, listed(0.5));
  assert.deepEqual([...out], [...pixels]);
});

function settings(horizontal: number, padding: number, seed = 1): PixelSettings {
  return { shape, resize: "crop", seed, augmentation: { horizontalFlip: horizontal, randomCropPadding: padding } };
}

function augmented(pipeline: Pipeline, epoch: number, sample: number): string {
  const out = new Uint8Array(36);
  pipeline.apply(pixels, out, epoch, sample);
  return out.join();
}

test("what a sample becomes depends on seed, epoch and sample index, and on nothing that came before", () => {
  const first = new Pipeline(settings(0.5, 2));
  const expected = augmented(first, 3, 7);
  for (let k = 0; k < 20; k++) augmented(first, k, k);
  assert.equal(augmented(first, 3, 7), expected);
  assert.equal(augmented(new Pipeline(settings(0.5, 2)), 3, 7), expected);
  const variants = (of: (k: number) => string) => new Set(Array.from({ length: 30 }, (_, k) => of(k))).size;
  assert.ok(variants((k) => augmented(first, k, 7)) > 10);
  assert.ok(variants((k) => augmented(first, 3, k)) > 10);
  assert.ok(variants((k) => augmented(new Pipeline(settings(0.5, 2, k)), 3, 7)) > 10);
});

test("flips come about as often as asked for, and without augmentation pixels pass unchanged", () => {
  const pipeline = new Pipeline(settings(0.3, 0));
  let flipped = 0;
  for (let k = 0; k < 2000; k++) if (augmented(pipeline, 0, k) !== pixels.join()) flipped++;
  assert.ok(Math.abs(flipped / 2000 - 0.3) < 0.05, `${flipped} of 2000`);
  assert.equal(augmented(new Pipeline(settings(0, 0)), 0, 0), pixels.join());
});

test("both together: the flip's input is the crop's output", () => {
  const both = new Pipeline(settings(1, 2));
  const cropOnly = new Pipeline(settings(0, 2));
  const cropped = new Uint8Array(36);
  cropOnly.apply(pixels, cropped, 5, 5);
  const expected = new Uint8Array(36);
  horizontalFlip(1)(cropped, expected, shape, listed(0));
  assert.equal(augmented(both, 5, 5), expected.join());
});
