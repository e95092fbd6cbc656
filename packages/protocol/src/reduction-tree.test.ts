import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertTiling, childrenOf, maximalSubtrees, type Run } from "./reduction-tree.js";

/** The tree with its brackets, left child first. */
function drawn(node: Run): string {
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

/** The tree itself, written down: nodes of [0, width) as leaf ranges, absent leaves passed through. */
function treeNodes(microBatches: number): Run[] {
  const nodes: Run[] = [];
  let level = Array.from({ length: microBatches }, (_, leaf) => ({ first: leaf, end: leaf + 1 }));
  for (;;) {
    nodes.push(...level);
    if (level.length === 1) return nodes;
    level = level
      .filter((_, i) => i % 2 === 0)
      .map((left, i) => ({ first: left.first, end: (level[2 * i + 1] ?? left).end }));
  }
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

describe("maximal subtrees", () => {
  const ranges = (...pairs: [number, number][]) => pairs.map(([first, end]) => ({ first, end }));
  test("an aligned run of a power of two is one subtree", () => {
    assert.deepEqual(maximalSubtrees(ranges([4, 8]), 8), ranges([4, 8]));
    assert.deepEqual(maximalSubtrees(ranges([0, 8]), 8), ranges([0, 8]));
  });
  test("a run at the short end is one subtree: what is absent is passed through", () => {
    assert.deepEqual(maximalSubtrees(ranges([8, 10]), 10), ranges([8, 10]));
    assert.deepEqual(maximalSubtrees(ranges([8, 11]), 11), ranges([8, 11]));
  });
  test("other runs are cut where the tree is", () => {
    assert.deepEqual(maximalSubtrees(ranges([1, 7]), 8), ranges([1, 2], [2, 4], [4, 6], [6, 7]));
    assert.deepEqual(maximalSubtrees(ranges([0, 3]), 8), ranges([0, 2], [2, 3]));
  });
  test("several runs are taken together", () => {
    assert.deepEqual(maximalSubtrees(ranges([2, 4], [0, 1], [1, 2]), 4), ranges([0, 4]));
    assert.deepEqual(maximalSubtrees([], 4), []);
  });
  test("overlapping runs and runs beyond the end are refused", () => {
    assert.throws(() => maximalSubtrees(ranges([0, 2], [1, 3]), 4), /micro-batch 1 is in two runs/);
    assert.throws(() => maximalSubtrees(ranges([3, 5]), 4), /micro-batch 4 does not exist/);
  });
  test("a tiling covers each micro-batch once", () => {
    assertTiling(ranges([2, 3], [0, 2]), 3);
    assert.throws(() => assertTiling(ranges([0, 2]), 3), /cover micro-batches \[0, 2\) of \[0, 3\)/);
    assert.throws(() => assertTiling(ranges([0, 1], [2, 3]), 3), /no one computes micro-batch 1/);
    assert.throws(() => assertTiling(ranges([0, 2], [1, 3]), 3), /micro-batch 1 of 3 is computed twice/);
  });
});

describe("maximal subtrees of a run", () => {
  test("are nodes of the tree, cover the run once and cannot be joined", () => {
    for (let microBatches = 1; microBatches <= 20; microBatches++) {
      const nodes = new Set(treeNodes(microBatches).map((node) => `${node.first} ${node.end}`));
      for (let first = 0; first < microBatches; first++) {
        for (let end = first + 1; end <= microBatches; end++) {
          const found = maximalSubtrees([{ first, end }], microBatches);
          let at = first;
          for (const node of found) {
            assert.equal(node.first, at);
            assert.ok(nodes.has(`${node.first} ${node.end}`), `[${node.first}, ${node.end}) of ${microBatches}`);
            at = node.end;
          }
          assert.equal(at, end);
          // Fewest: no node inside the run is wider than the one found at its place.
          for (const node of treeNodes(microBatches)) {
            if (node.first < first || node.end > end) continue;
            const host = found.find((each) => each.first <= node.first && node.end <= each.end);
            assert.ok(host !== undefined, `[${node.first}, ${node.end}) is split in [${first}, ${end})`);
          }
        }
      }
    }
  });

  test("M = 6: [4, 6) is one, [2, 6) is two", () => {
    assert.deepEqual(maximalSubtrees([{ first: 4, end: 6 }], 6), [{ first: 4, end: 6 }]);
    assert.deepEqual(maximalSubtrees([{ first: 2, end: 6 }], 6), [
      { first: 2, end: 4 },
      { first: 4, end: 6 },
    ]);
  });
});
