import assert from "node:assert/strict";
import { test } from "node:test";
import { epochOrder, phaseOrder } from "./order.js";

const train = Uint32Array.from({ length: 500 }, (_, k) => 3 * k + 1);

test("an epoch uses each training sample exactly once, in an order of its own", () => {
  const first = epochOrder(train, 5, 0);
  assert.deepEqual(
    [...first].sort((a, b) => a - b),
    [...train],
  );
  assert.notDeepEqual([...first], [...train]);
  assert.deepEqual(epochOrder(train, 5, 0), first);
  assert.notDeepEqual(epochOrder(train, 5, 1), first);
  assert.notDeepEqual(epochOrder(train, 6, 0), first);
});

test("evaluation takes its part as it lies, in every epoch", () => {
  const splits = { train, validation: Uint32Array.of(0, 2), test: Uint32Array.of(3) };
  assert.deepEqual([...phaseOrder(splits, "validation", 1, 7)], [0, 2]);
  assert.deepEqual([...phaseOrder(splits, "test", 1, 7)], [3]);
  assert.deepEqual(phaseOrder(splits, "train", 1, 7), epochOrder(train, 1, 7));
});
