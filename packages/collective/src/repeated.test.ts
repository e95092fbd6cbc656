// PROTOCOL R7: what comes again, from a re-opened stream or a redone micro-batch, changes nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameKind, crc32c, type Frame } from "@lockstep/rpc";
import { PartialSums } from "./partials.js";
import { PositionExchange } from "./position-exchange.js";
import { generation } from "./test-cluster.js";
import { VectorPool } from "./vector-pool.js";

test("a partial that comes three times before the others is counted once", () => {
  const pool = new VectorPool();
  const shape = {
    position: 1,
    microBatches: 4,
    runs: [[{ first: 0, end: 1 }], [{ first: 1, end: 4 }]], // rank 1 sends two nodes: [1, 2) and [2, 4)
    vectorLength: 1,
    countsLength: 1,
  };
  const exchange = new PositionExchange(shape, 0, pool);
  const own = new PartialSums({ ...shape, runs: shape.runs[0] ?? [], pool });
  own.add(0, Float32Array.of(1), BigUint64Array.of(1n));
  exchange.publish(own);
  exchange.sumArrived();
  const send = (nodeFirst: number, nodeEnd: number, value: number, count: bigint) => {
    const payload = new Uint8Array(Float32Array.of(value).buffer);
    const frame: Frame = {
      ...generation,
      kind: FrameKind.PARTIAL,
      position: 1,
      nodeFirst,
      nodeEnd,
      offset: 0,
      total: 4,
      crc32c: crc32c(payload),
      counts: [count],
      payload,
    };
    const place = exchange.place(1, frame, payload.length);
    place?.set(payload);
    exchange.placed(1, frame, place);
  };
  for (let time = 0; time < 3; time++) send(1, 2, 2, 10n);
  assert.equal(exchange.complete, false, "[2, 4) is still missing");
  send(2, 4, 4, 100n);
  assert.equal(exchange.complete, true);
  assert.deepEqual([...exchange.result.sums], [7]);
  assert.deepEqual([...exchange.result.counts], [111n]);
});

test("a micro-batch that is added three times does not stand for another", () => {
  const shape = { position: 1, microBatches: 3, runs: [{ first: 0, end: 3 }], vectorLength: 1, countsLength: 1 };
  const partials = new PartialSums(shape);
  for (let time = 0; time < 3; time++) partials.add(0, Float32Array.of(1), BigUint64Array.of(1n));
  assert.equal(partials.complete, false);
  partials.add(1, Float32Array.of(2), BigUint64Array.of(10n));
  partials.add(1, Float32Array.of(2), BigUint64Array.of(10n));
  assert.equal(partials.complete, false);
  partials.add(2, Float32Array.of(4), BigUint64Array.of(100n));
  assert.equal(partials.complete, true);
  assert.deepEqual([...(partials.finished()[0]?.vector ?? [])], [7]);
  assert.deepEqual([...(partials.finished()[0]?.counts ?? [])], [111n]);
});
