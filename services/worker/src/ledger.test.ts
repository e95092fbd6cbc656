import assert from "node:assert/strict";
import { test } from "node:test";
import { Hello, PositionRecord } from "@lockstep/rpc";
import { Ledger } from "./ledger.js";

const positions = (records: readonly PositionRecord[]) => records.map((record) => record.position);

function ledgerOf(...applied: number[]): Ledger {
  const ledger = new Ledger();
  for (const position of applied) ledger.add(PositionRecord.create({ position }));
  return ledger;
}

test("a stream carries each record once, oldest first, so many at a time", () => {
  const all = Array.from({ length: 1_200 }, (_, k) => k + 1);
  const ledger = ledgerOf(...all);
  assert.deepEqual(positions(ledger.unsent()), all.slice(0, 500));
  assert.deepEqual(positions(ledger.unsent()), all.slice(500, 1_000));
  ledger.add(PositionRecord.create({ position: 1_201 }));
  assert.deepEqual(positions(ledger.unsent()), [...all.slice(1_000), 1_201]);
  assert.deepEqual(positions(ledger.unsent()), []);
});

test("confusion matrices of a thousand classes go few at a time, in Hello too, and what is carried fits a message", () => {
  const ledger = new Ledger();
  const confusion = Array.from({ length: 1_000_000 }, (_, cell) => (cell < 64 ? 65_536n : 0n));
  for (let position = 1; position <= 7; position++)
    ledger.add(PositionRecord.create({ position, samples: 64, confusion }));
  const carried = [ledger.unacknowledged(), ledger.unsent(), ledger.unsent()];
  assert.deepEqual(carried.map(positions), [[1, 2, 3, 4], [5, 6, 7], []]);
  const bytes = Hello.encode(Hello.create({ ledger: carried[0] ?? [] })).finish().length;
  assert.ok(bytes <= 4 * 2 ** 20, String(bytes));
});

test("a new stream begins with everything that was not acknowledged", () => {
  const ledger = ledgerOf(1, 2, 3);
  ledger.unsent();
  ledger.acknowledge(1);
  assert.deepEqual(positions(ledger.unacknowledged()), [2, 3]);
  assert.deepEqual(positions(ledger.unsent()), [], "Hello has carried them");
});

test("a record stays until its own position is acknowledged", () => {
  const ledger = ledgerOf(1, 2);
  ledger.acknowledge(0);
  assert.deepEqual(positions(ledger.unacknowledged()), [1, 2]);
  ledger.acknowledge(2);
  assert.deepEqual(positions(ledger.unacknowledged()), []);
});
