import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertTiling, childrenOf, maximalNodes, type MicroBatchRange } from "./reduction-tree.js";

/** The tree with its brackets, left child first. */
function drawn(node: MicroBatchRange): string {
  if (node.end - node.first === 1) return String(node.first);
  return `(${childrenOf(node).map(drawn).join(" ")})`;
}

/** The same from the definition: a full tree over the next power of two, in which absent leaves are passed through. */
function drawnFromDefinition(microBatches: number): string {
  let level = Array.from({ length: 2 ** Math.ceil(Math.log2(microBatches)) }, (_, leaf) =>
    leaf < microBatches ? String(leaf) : "",
  );
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, pair) => {
      const [left = "", right = ""] = [level[2 * pair], level[2 * pair + 1]];
      return right === "" ? left : `(${left} ${right})`;
    });
  }
  return level[0] ?? "";
}

describe("the reduction tree", () => {
  test("of 8 and of 6 micro-batches", () => {
    assert.equal(drawn({ first: 0, end: 8 }), "(((0 1) (2 3)) ((4 5) (6 7)))");
    assert.equal(drawn({ first: 0, end: 6 }), "(((0 1) (2 3)) (4 5))");
    assert.equal(drawn({ first: 0, end: 5 }), "(((0 1) (2 3)) 4)");
  });
  for (let microBatches = 1; microBatches <= 20; microBatches++) {
    test(`of ${microBatches} is the padded binary tree with absent leaves passed through`, () => {
      assert.equal(drawn({ first: 0, end: microBatches }), drawnFromDefinition(microBatches));
    });
  }
});

describe("maximal nodes", () => {
  const ranges = (...pairs: [number, number][]) => pairs.map(([first, end]) => ({ first, end }));
  test("an aligned run of a power of two is one node", () => {
    assert.deepEqual(maximalNodes(ranges([4, 8]), 8), ranges([4, 8]));
    assert.deepEqual(maximalNodes(ranges([0, 8]), 8), ranges([0, 8]));
  });
  test("a run at the short end is one node: what is absent is passed through", () => {
    assert.deepEqual(maximalNodes(ranges([8, 10]), 10), ranges([8, 10]));
    assert.deepEqual(maximalNodes(ranges([8, 11]), 11), ranges([8, 11]));
  });
  test("other runs are cut where the tree is", () => {
    assert.deepEqual(maximalNodes(ranges([1, 7]), 8), ranges([1, 2], [2, 4], [4, 6], [6, 7]));
    assert.deepEqual(maximalNodes(ranges([0, 3]), 8), ranges([0, 2], [2, 3]));
  });
  test("several runs are taken together", () => {
    assert.deepEqual(maximalNodes(ranges([2, 4], [0, 1], [1, 2]), 4), ranges([0, 4]));
    assert.deepEqual(maximalNodes([], 4), []);
  });
  test("overlapping runs and runs beyond the end are refused", () => {
    assert.throws(() => maximalNodes(ranges([0, 2], [1, 3]), 4), /micro-batch 1 is in two runs/);
    assert.throws(() => maximalNodes(ranges([3, 5]), 4), /micro-batch 4 does not exist/);
  });
  test("a tiling covers each micro-batch once", () => {
    assertTiling(ranges([2, 3], [0, 2]), 3);
    assert.throws(() => assertTiling(ranges([0, 2]), 3), /cover micro-batches \[0, 2\) of \[0, 3\)/);
    assert.throws(() => assertTiling(ranges([0, 1], [2, 3]), 3), /no one computes micro-batch 1/);
    assert.throws(() => assertTiling(ranges([0, 2], [1, 3]), 3), /micro-batch 1 of 3 is computed twice/);
  });
});
