import assert from "node:assert/strict";
import { test } from "node:test";
import { orderDraws, permutation } from "@lockstep/random";
import { DecodedCache } from "./decoded-cache.js";

const sampleBytes = 64 * 1024;
const pixelsOf = (sample: number) => new Uint8Array(sampleBytes).fill(sample % 251);

/** One epoch over `samples` in a drawn order; gives the share of hits. */
function epoch(cache: DecodedCache, number: number, samples: readonly number[]): number {
  let hits = 0;
  for (const place of permutation(samples.length, orderDraws(1, number))) {
    const sample = samples[place] as number;
    const pixels = cache.get(sample, number);
    if (pixels === undefined) cache.put(sample, number, pixelsOf(sample));
    else {
      hits++;
      assert.equal(pixels[0], sample % 251);
      assert.equal(pixels[sampleBytes - 1], sample % 251);
    }
  }
  return hits / samples.length;
}

const range = (first: number, end: number) => Array.from({ length: end - first }, (_, k) => first + k);

test("with room for all, every sample is decoded once", () => {
  const cache = new DecodedCache({ sampleCount: 300, sampleBytes, bytesMax: 300 * sampleBytes });
  assert.equal(epoch(cache, 0, range(0, 300)), 0);
  assert.equal(epoch(cache, 1, range(0, 300)), 1);
  assert.deepEqual(cache.statistics(), { bytes: 300 * sampleBytes, hits: 300, misses: 300 });
});

test("with room for half, half of each epoch is served from memory, and the bound holds", () => {
  const bytesMax = 150 * sampleBytes + 17;
  const cache = new DecodedCache({ sampleCount: 300, sampleBytes, bytesMax });
  const shares = range(0, 5).map((number) => epoch(cache, number, range(0, 300)));
  assert.deepEqual(shares, [0, 0.5, 0.5, 0.5, 0.5]);
  assert.ok(cache.statistics().bytes <= bytesMax);
});

test("samples that are asked for no more make room for those that are", () => {
  const cache = new DecodedCache({ sampleCount: 300, sampleBytes, bytesMax: 100 * sampleBytes });
  range(0, 3).forEach((number) => epoch(cache, number, range(0, 100)));
  const shares = range(3, 8).map((number) => epoch(cache, number, range(100, 200)));
  assert.equal(shares[0], 0);
  assert.equal(shares.at(-1), 1);
  assert.deepEqual(
    [...cache.samples()].sort((a, b) => a - b),
    range(100, 200),
  );
});

test("a cache too small for one sample keeps none", () => {
  const cache = new DecodedCache({ sampleCount: 10, sampleBytes, bytesMax: sampleBytes - 1 });
  assert.equal(epoch(cache, 0, range(0, 10)) + epoch(cache, 1, range(0, 10)), 0);
});
