import assert from "node:assert/strict";
import { test } from "node:test";
import { PositionRecord } from "@lockstep/rpc";
import { Ledger } from "./ledger.js";

const positions = (records: readonly PositionRecord[]) => records.map((record) => record.position);

function ledgerOf(...applied: number[]): Ledger {
  const ledger = new Ledger();
  for (const position of applied) ledger.add(PositionRecord.create({ position }));
  return ledger;
}

test("a stream carries each record once, oldest first, so many at a time", () => {
  const ledger = ledgerOf(1, 2, 3);
  assert.deepEqual(positions(ledger.unsent(2)), [1, 2]);
  assert.deepEqual(positions(ledger.unsent(2)), [3]);
  ledger.add(PositionRecord.create({ position: 4 }));
  assert.deepEqual(positions(ledger.unsent(2)), [4]);
  assert.deepEqual(positions(ledger.unsent(2)), []);
});

test("a new stream begins with everything that was not acknowledged", () => {
  const ledger = ledgerOf(1, 2, 3);
  ledger.unsent(10);
  ledger.acknowledge(1);
  assert.deepEqual(positions(ledger.unacknowledged()), [2, 3]);
  assert.deepEqual(positions(ledger.unsent(10)), [], "Hello has carried them");
});

test("a record stays until its own position is acknowledged", () => {
  const ledger = ledgerOf(1, 2);
  ledger.acknowledge(0);
  assert.deepEqual(positions(ledger.unacknowledged()), [1, 2]);
  ledger.acknowledge(2);
  assert.deepEqual(positions(ledger.unacknowledged()), []);
});
