import assert from "node:assert/strict";
import { test } from "node:test";
import { orderDraws } from "./keys.js";

test("fill gives the words that single draws would give, from any point", () => {
  for (const before of [0, 1, 4, 5]) {
    for (const length of [0, 2, 3, 4, 11]) {
      const single = orderDraws(5, 0);
      const filled = orderDraws(5, 0);
      for (let i = 0; i < before; i++) assert.equal(filled.uint32(), single.uint32());
      const out = new Uint32Array(length);
      filled.fill(out);
      assert.deepEqual(
        [...out, filled.uint32()],
        Array.from({ length: length + 1 }, () => single.uint32()),
      );
    }
  }
});

test("uniform is the upper 24 bits of a word, in [0, 1)", () => {
  const words = orderDraws(3, 1);
  const uniforms = orderDraws(3, 1);
  let sum = 0;
  for (let i = 0; i < 10_000; i++) {
    const value = uniforms.uniform();
    assert.equal(value, Math.floor(words.uint32() / 256) / 16_777_216);
    assert.equal(value, Math.fround(value));
    sum += value;
  }
  // Mean 1/2, standard deviation of the mean 1/sqrt(12 * 10,000) = 0.0029.
  assert.ok(Math.abs(sum / 10_000 - 0.5) < 0.015, `mean ${sum / 10_000}`);
});

test("below is uniform where the range does not divide 2^32", () => {
  // Without rejection, a draw below 3 * 2^30 would fall into the lowest third twice as often.
  const draws = orderDraws(11, 0);
  const n = 3 * 2 ** 30;
  let lowest = 0;
  for (let i = 0; i < 10_000; i++) if (draws.below(n) < 2 ** 30) lowest++;
  // Expected 3,333, standard deviation 47; a bias would give 5,000.
  assert.ok(Math.abs(lowest - 3333) < 250, `${lowest} of 10,000`);
  assert.equal(draws.below(1), 0);
  assert.ok(draws.below(2 ** 32) < 2 ** 32);
  for (const bad of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) assert.throws(() => draws.below(bad), /cannot draw below/);
});
