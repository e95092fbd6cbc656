import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@lockstep/spec";
import { splitSamples } from "./split.js";

const shares = { train: 0.8, validation: 0.1, test: 0.1, seed: 3 };

/** Samples of class k stand together: counts[k] of them. */
function labelled(counts: readonly number[], classes = counts.map((_, k) => `c${k}`)) {
  return {
    root: "/data",
    classes,
    labels: Int32Array.from(counts.flatMap((n, k) => Array.from({ length: n }, () => k))),
    ready: undefined,
  };
}

function perClass(indices: Uint32Array, labels: Int32Array, classes: number): number[] {
  const counts = Array.from({ length: classes }, () => 0);
  for (const index of indices) counts[labels[index] as number] = (counts[labels[index] as number] as number) + 1;
  return counts;
}

test("every sample is in one part, ascending, and each class is divided alike", () => {
  const source = labelled([100, 37, 10]);
  const { train, validation, test: tested } = splitSamples(source, shares);
  const all = [...train, ...validation, ...tested].sort((a, b) => a - b);
  assert.deepEqual(all, [...source.labels.keys()]);
  for (const part of [train, validation, tested])
    assert.deepEqual(
      [...part],
      [...part].sort((a, b) => a - b),
    );
  // 37: 29.6, 3.7, 3.7 -> 29, 3, 3 and the two largest remainders (.7, .7) take one each.
  assert.deepEqual(perClass(train, source.labels, 3), [80, 29, 8]);
  assert.deepEqual(perClass(validation, source.labels, 3), [10, 4, 1]);
  assert.deepEqual(perClass(tested, source.labels, 3), [10, 4, 1]);
});

test("the draw depends on seed and class name, not on what other classes there are", () => {
  const alone = splitSamples(labelled([50], ["cat"]), shares);
  const beside = splitSamples(labelled([50, 50], ["cat", "dog"]), shares);
  assert.deepEqual(
    [...alone.test],
    [...beside.test].filter((index) => index < 50),
  );
  assert.notDeepEqual([...alone.test], [...splitSamples(labelled([50], ["cat"]), { ...shares, seed: 4 }).test]);
  assert.notDeepEqual(
    [...beside.test].slice(0, 5),
    [...beside.test].slice(5).map((index) => index - 50),
  );
});

test("shares that add up to less than 1 leave the rest out", () => {
  const {
    train,
    validation,
    test: tested,
  } = splitSamples(labelled([100]), { train: 0.5, validation: 0.2, test: 0, seed: 0 });
  assert.deepEqual([train.length, validation.length, tested.length], [50, 20, 0]);
});

test("a class with too few samples for a part is refused by name, with the number that is enough", () => {
  assert.throws(
    () => splitSamples(labelled([100, 3], ["many", "few"]), shares),
    (thrown) =>
      thrown instanceof InputError &&
      /class "few"/.test(thrown.where) &&
      /3 images/.test(thrown.found) &&
      /validation/.test(thrown.found) &&
      /at least 7 images/.test(thrown.allowed),
  );
  assert.doesNotThrow(() => splitSamples(labelled([7]), shares));
});

test("ready parts stay; a missing one is taken from training, class by class", () => {
  const part = Uint8Array.from([...Array.from({ length: 40 }, () => 0), ...Array.from({ length: 5 }, () => 2)]);
  const labels = Int32Array.from(part, (_, k) => k % 2);
  const source = { root: "/data", classes: ["a", "b"], labels };
  const {
    train,
    validation,
    test: tested,
  } = splitSamples({ ...source, ready: { part, present: { validation: false, test: true } } }, shares);
  assert.deepEqual([...tested], [40, 41, 42, 43, 44]);
  assert.deepEqual(perClass(train, labels, 2), [18, 18]);
  assert.deepEqual(perClass(validation, labels, 2), [2, 2]);
  const whole = splitSamples({ ...source, ready: { part, present: { validation: true, test: true } } }, shares);
  assert.deepEqual([whole.train.length, whole.validation.length, whole.test.length], [40, 0, 5]);
});

test("shares out of range are refused", () => {
  for (const wrong of [{ train: 0 }, { validation: -0.1 }, { test: 0.3 }, { train: Number.NaN }]) {
    assert.throws(() => splitSamples(labelled([100]), { ...shares, ...wrong }), InputError, JSON.stringify(wrong));
  }
});
