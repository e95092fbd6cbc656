import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Measured } from "@lockstep/rpc";
import type { JobSpec } from "@lockstep/spec";
import { givenNormalization, measuredNormalization } from "./normalization.js";

/** Sums over pixels given channel by channel. */
function measure(channels: readonly (readonly number[])[]): Measured {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + BigInt(value), 0n);
  return {
    pixels: channels[0]?.length ?? 0,
    sums: channels.map(sum),
    squares: channels.map((values) => sum(values.map((value) => value * value))),
  };
}

const pixels = [
  [0, 255, 10, 20, 30, 40],
  [255, 255, 250, 240, 230, 0],
  [1, 2, 3, 4, 5, 6],
];

describe("measured normalisation", () => {
  test("is mean and standard deviation of the pixels in [0, 1], as float32", () => {
    const { mean, std } = measuredNormalization([measure(pixels)], 3);
    pixels.forEach((values, channel) => {
      const scaled = values.map((value) => value / 255);
      const average = scaled.reduce((a, b) => a + b) / scaled.length;
      const variance = scaled.reduce((sum, value) => sum + (value - average) ** 2, 0) / scaled.length;
      assert.ok(Math.abs((mean[channel] as number) - average) < 1e-6);
      assert.ok(Math.abs((std[channel] as number) - Math.sqrt(variance)) < 1e-6);
      assert.equal(mean[channel], Math.fround(mean[channel] as number));
    });
  });

  test("is the same to the last bit however the samples were shared out", () => {
    const whole = measuredNormalization([measure(pixels)], 3);
    for (const cut of [1, 3, 5]) {
      const parts = [measure(pixels.map((each) => each.slice(0, cut))), measure(pixels.map((each) => each.slice(cut)))];
      assert.deepEqual(measuredNormalization(parts, 3), whole);
      assert.deepEqual(measuredNormalization(parts.toReversed(), 3), whole);
    }
  });

  test("of pixels that never change has a spread that can be divided by", () => {
    const { mean, std } = measuredNormalization([measure([[128, 128, 128]])], 1);
    assert.deepEqual([mean, std], [[Math.fround(128 / 255)], [Math.fround(1 / 255)]]);
  });

  test("of sums beyond 2^53 is still right", () => {
    const many = 2 ** 40;
    const part = {
      pixels: many,
      sums: [BigInt(many) * 100n],
      squares: [BigInt(many) * 100n * 100n + BigInt(many) * 25n],
    };
    const { mean, std } = measuredNormalization([part], 1);
    assert.ok(Math.abs((mean[0] as number) - 100 / 255) < 1e-7);
    assert.ok(Math.abs((std[0] as number) - 5 / 255) < 1e-7);
  });
});

test("a spec that gives its normalisation, or wants none, needs no measurement", () => {
  const spec = (normalize: JobSpec["preprocess"]["normalize"]) => ({ preprocess: { normalize } }) as JobSpec;
  assert.equal(givenNormalization(spec("measured"), 3), undefined);
  assert.deepEqual(givenNormalization(spec("none"), 3), { mean: [0, 0, 0], std: [1, 1, 1] });
  const own = { mean: [0.5], std: [0.25] };
  assert.deepEqual(givenNormalization(spec(own), 1), own);
});
