import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { dealRuns } from "./deal.js";
import { maximalSubtrees, type Run } from "./reduction-tree.js";

const lengths = (runs: readonly Run[]) => runs.map((run) => run.end - run.first);

function partials(runs: readonly Run[], microBatches: number): number {
  return runs.reduce((sum, run) => sum + maximalSubtrees([run], microBatches).length, 0);
}

/** Every way to cut [0, M) into N runs of at least one. */
function* allDeals(microBatches: number, members: number, first = 0): Generator<Run[]> {
  if (members === 1) {
    yield [{ first, end: microBatches }];
    return;
  }
  for (let end = first + 1; end <= microBatches - members + 1; end++) {
    for (const rest of allDeals(microBatches, members - 1, end)) yield [{ first, end }, ...rest];
  }
}

describe("dealing", () => {
  test("covers all micro-batches in order, one at least to each, the largest share as small as it can be", () => {
    for (let microBatches = 1; microBatches <= 40; microBatches++) {
      for (let members = 1; members <= microBatches; members++) {
        const runs = dealRuns(microBatches, members);
        assert.equal(runs.length, members);
        assert.equal(runs[0]?.first, 0);
        assert.equal(runs.at(-1)?.end, microBatches);
        runs.slice(1).forEach((run, i) => assert.equal(run.first, runs[i]?.end));
        assert.ok(Math.min(...lengths(runs)) >= 1);
        assert.equal(Math.max(...lengths(runs)), Math.ceil(microBatches / members));
      }
    }
  });

  test("needs no more partials than any deal with that largest share", () => {
    for (let microBatches = 1; microBatches <= 12; microBatches++) {
      for (let members = 1; members <= Math.min(5, microBatches); members++) {
        const share = Math.ceil(microBatches / members);
        const fair = [...allDeals(microBatches, members)].filter((runs) => Math.max(...lengths(runs)) === share);
        const fewest = Math.min(...fair.map((runs) => partials(runs, microBatches)));
        assert.equal(partials(dealRuns(microBatches, members), microBatches), fewest, `${microBatches} to ${members}`);
      }
    }
  });

  test("powers of two send one partial each; the known best boundaries for others", () => {
    for (const members of [1, 2, 4, 8, 16]) assert.equal(partials(dealRuns(16, members), 16), members);
    assert.deepEqual(lengths(dealRuns(16, 3)), [4, 6, 6]);
    assert.deepEqual(lengths(dealRuns(16, 5)), [2, 2, 4, 4, 4]);
    assert.deepEqual(lengths(dealRuns(8, 3)), [2, 3, 3]);
  });

  test("mean traffic over the optimum, (partials/N + 1) / 2, is that of an independent search", () => {
    const factor = (microBatches: number, members: number) =>
      (partials(dealRuns(microBatches, members), microBatches) / members + 1) / 2;
    const table: [number, number, number][] = [
      [16, 3, 1.33],
      [16, 5, 1],
      [16, 6, 1.33],
      [16, 7, 1.14],
      [32, 3, 2],
      [32, 5, 1.7],
      [32, 6, 1.33],
      [64, 3, 2],
      [64, 7, 1.43],
      [12, 5, 1.2],
      [100, 3, 1.83],
    ];
    for (const [microBatches, members, expected] of table) {
      assert.equal(factor(microBatches, members).toFixed(2), expected.toFixed(2), `${microBatches} to ${members}`);
    }
  });

  test("the largest job is dealt in well under a second", { timeout: 5_000 }, () => {
    assert.equal(dealRuns(1_024, 1_000).length, 1_000);
    assert.equal(dealRuns(1_024, 31).length, 31);
  });

  test("more members than micro-batches are refused", () => {
    assert.throws(() => dealRuns(4, 5), /4 micro-batches cannot be dealt to 5 members/);
    assert.throws(() => dealRuns(4, 0));
  });
});
