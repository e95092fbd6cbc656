import assert from "node:assert/strict";
import { test } from "node:test";
import type { Draws } from "./draws.js";
import { augmentationDraws, dropoutDraws, initialisationDraws, orderDraws, splitDraws } from "./keys.js";

function words(draws: Draws, count: number): number[] {
  return Array.from({ length: count }, () => draws.uint32());
}

test("draws depend on their key alone, not on what was drawn before or in between", () => {
  const alone = words(augmentationDraws(7, 2, 31), 9);
  const other = augmentationDraws(7, 2, 32);
  const mixed = augmentationDraws(7, 2, 31);
  const interleaved = alone.map(() => (other.uint32(), mixed.uint32()));
  assert.deepEqual(interleaved, alone);
});

test("every part of a key changes the words", () => {
  const variants = [
    orderDraws(1, 0),
    orderDraws(2, 0),
    orderDraws(1 + 2 ** 32, 0),
    orderDraws(2 ** 53 - 1, 0),
    orderDraws(1, 1),
    augmentationDraws(1, 0, 0),
    augmentationDraws(1, 1, 0),
    augmentationDraws(1, 0, 1),
    dropoutDraws(1, 0, 0, "dropout1"),
    dropoutDraws(1, 2 ** 32, 0, "dropout1"),
    dropoutDraws(1, 1, 0, "dropout1"),
    dropoutDraws(1, 0, 1, "dropout1"),
    dropoutDraws(1, 0, 0, "dropout2"),
    dropoutDraws(1, 0, 0, "dropout10"),
    initialisationDraws(1, "conv1.weight"),
    initialisationDraws(1, "conv1.weight\0"),
    initialisationDraws(1, "layer1.0.bn1.weight"),
    initialisationDraws(1, "layer1.1.bn1.weight"),
    splitDraws(1, "cat"),
    splitDraws(1, "猫"),
    splitDraws(1, ""),
    splitDraws(0, ""),
  ];
  const seen = new Set(variants.map((draws) => words(draws, 4).join()));
  assert.equal(seen.size, variants.length);
});

test("the words of each purpose are part of every trained weight and never change", () => {
  assert.deepEqual(words(orderDraws(0, 0), 2), [3196859187, 3284210189]);
  assert.deepEqual(words(augmentationDraws(1, 2, 3), 2), [2183593574, 1475853756]);
  assert.deepEqual(words(dropoutDraws(1, 2, 3, "dropout1"), 2), [1744062069, 1346923766]);
  assert.deepEqual(words(initialisationDraws(2 ** 53 - 1, "layer1.0.bn1.weight"), 2), [639293977, 3973750242]);
  assert.deepEqual(words(splitDraws(3, "cat"), 2), [2762696520, 3967763344]);
});

test("seeds, epochs and indices outside their range are refused", () => {
  assert.throws(() => orderDraws(2 ** 53, 0), /seed 9007199254740992/);
  assert.throws(() => orderDraws(0.5, 0), /seed 0.5/);
  assert.throws(() => orderDraws(0, -1), /epoch -1/);
  assert.throws(() => augmentationDraws(0, 0, 2 ** 32), /sample index 4294967296/);
});
