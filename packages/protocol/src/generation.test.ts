import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  allRuns,
  type Ballot,
  compareBallots,
  makePlan,
  type Plan,
  planHash,
  rankOf,
  readPlan,
  requireBallot,
} from "./generation.js";

const plan: Plan = makePlan({
  job: "flowers",
  ballot: { incarnation: 3, counter: 7 },
  members: [
    {
      worker: "a",
      address: "127.0.0.1:1",
      runsAtFirst: [{ first: 0, end: 1 }],
      runsLater: [{ first: 0, end: 2 }],
      stateSource: "",
    },
    {
      worker: "b",
      address: "127.0.0.1:2",
      runsAtFirst: [{ first: 1, end: 4 }],
      runsLater: [{ first: 2, end: 4 }],
      stateSource: "127.0.0.1:1",
    },
  ],
  firstPosition: 41,
  end: { position: 50, why: "cancelled" },
  shards: { version: 2, blockSamples: 64, addresses: ["127.0.0.1:3"], ownersPerBlock: 1, owners: [0, 0] },
});

/** Every plan that differs from `value` in one number, text or list. */
function changes<T>(value: T): T[] {
  if (typeof value === "number") return [(value + 1) as T];
  if (typeof value === "string") return [`${value}x` as T];
  if (Array.isArray(value)) {
    const items = value as unknown[];
    const changed = items.flatMap((item, i) => changes(item).map((other) => items.with(i, other)));
    return [...changed, items.slice(1), [...items, items[0]]] as T[];
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, field]) => changes(field).map((other) => ({ ...value, [key]: other })));
}

describe("plan hash", () => {
  test("changes with every field of the plan", () => {
    const { planHash: hash, ...content } = plan;
    const others = [...changes(content), { ...content, end: undefined }];
    assert.ok(others.length > 40, `${others.length} changed plans`);
    const hashes = new Set(others.map((other) => planHash(other)));
    assert.ok(!hashes.has(hash));
    assert.equal(hashes.size, others.length);
  });

  test("does not depend on the order of fields, nor on how a plan came about", () => {
    const { planHash: hash, ...content } = plan;
    const reversed = Object.fromEntries(Object.entries(content).reverse()) as typeof content;
    assert.equal(planHash(structuredClone(reversed)), hash);
  });

  test("tells neighbouring texts and lists apart", () => {
    const member = plan.members[0] as Plan["members"][number];
    const variant = (worker: string, address: string) =>
      planHash({ ...plan, members: [{ ...member, worker, address }] });
    assert.notEqual(variant("ab", "c"), variant("a", "bc"));
    const runs = (first: number, later: number) => {
      const list = (length: number) => Array.from({ length }, () => ({ first: 0, end: 0 }));
      return planHash({ ...plan, members: [{ ...member, runsAtFirst: list(first), runsLater: list(later) }] });
    };
    assert.notEqual(runs(1, 2), runs(2, 1));
  });
});

describe("a plan off the wire", () => {
  test("is taken when whole, refused when damaged or incomplete", () => {
    assert.deepEqual(readPlan(plan), plan);
    assert.throws(() => readPlan({ ...plan, firstPosition: 42 }), /3\.7 does not have the hash/);
    assert.throws(() => readPlan({ ...plan, shards: undefined }), /shard map/);
    assert.throws(() => readPlan({ ...plan, members: [] }), /members/);
    assert.throws(() => readPlan({ ...plan, ballot: undefined }), /ballot/);
    assert.throws(() => requireBallot(undefined));
  });
});

describe("ballots", () => {
  test("are compared by incarnation, then counter", () => {
    const ordered: Ballot[] = [
      { incarnation: 0, counter: 0 },
      { incarnation: 1, counter: 9 },
      { incarnation: 2, counter: 0 },
      { incarnation: 2, counter: 3 },
    ];
    ordered.forEach((a, i) => {
      ordered.forEach((b, j) => assert.equal(Math.sign(compareBallots(a, b)), Math.sign(i - j)));
    });
  });
});

describe("runs of a plan", () => {
  test("those of the first position, then the later ones, cut to the place's micro-batches", () => {
    const at = (position: number, microBatches: number) => allRuns(plan, { position, microBatches });
    assert.deepEqual(at(41, 4), [[{ first: 0, end: 1 }], [{ first: 1, end: 4 }]]);
    assert.deepEqual(at(42, 4), [[{ first: 0, end: 2 }], [{ first: 2, end: 4 }]]);
    assert.deepEqual(at(42, 3), [[{ first: 0, end: 2 }], [{ first: 2, end: 3 }]]);
    assert.deepEqual(at(42, 2), [[{ first: 0, end: 2 }], []]);
  });

  test("ranks follow the order of members", () => {
    assert.equal(rankOf(plan, "b"), 1);
    assert.equal(rankOf(plan, "c"), undefined);
  });
});
