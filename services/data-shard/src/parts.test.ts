import assert from "node:assert/strict";
import { test } from "node:test";
import { makeShardMap } from "@lockstep/dataset";
import { epochEnd, lastPosition, locate, type Timetable } from "@lockstep/protocol";
import type { BatchesRequest } from "@lockstep/rpc";
import { Orders, partsOf, type Part } from "./parts.js";

// 50 samples of which 33 train, 9 validate, 8 test; batches of 10 in 4 micro-batches of 3, the last of 1.
const timetable = { trainSamples: 33, validationSamples: 9, testSamples: 8, epochs: 2, batchSize: 10, microBatches: 4 };
const range = (first: number, end: number) => Uint32Array.from({ length: end - first }, (_, k) => first + k);
const splits = { train: range(0, 33), validation: range(33, 42), test: range(42, 50) };
const orders = () => new Orders({ splits }, 7);

function parts(shard: number, shardCount: number, changed: Partial<BatchesRequest> = {}): Part[] {
  return [...walk(shard, shardCount, changed, orders())];
}

function walk(
  shard: number,
  shardCount: number,
  changed: Partial<BatchesRequest>,
  from: Orders,
  over: Timetable = timetable,
): Generator<Part> {
  const map = makeShardMap({ version: 1, sampleCount: 50, shardCount, blockSamples: 4 });
  const wire = { ...map, owners: [...map.owners], addresses: [] };
  const request = {
    job: "",
    datasetDigest: "",
    shardMapVersion: 1,
    shard,
    unreachable: [],
    firstPosition: 1,
    endPosition: lastPosition(timetable) + 1,
    runFirst: [0],
    runEnd: [4],
    ...changed,
  };
  return partsOf(request, over, from, wire);
}

/** Sample indices by place in the batch, from the parts of all shards. */
function assembled(all: readonly Part[], position: number): number[] {
  const samples: number[] = [];
  for (const part of all.filter(({ place }) => place.position === position)) {
    part.slots.forEach((slot, k) => {
      const at = part.microBatch * 3 + slot;
      assert.equal(samples[at], undefined, "two shards serve the same slot");
      samples[at] = part.indices[k] as number;
    });
  }
  return samples;
}

test("however many shards there are, together they serve each epoch's order, each sample once", () => {
  for (const shardCount of [1, 2, 3]) {
    const all = Array.from({ length: shardCount }, (_, shard) => parts(shard, shardCount)).flat();
    const used = new Map<string, number[]>();
    for (let position = 1; position <= lastPosition(timetable); position++) {
      const { phase, epoch } = locate(timetable, position);
      const key = `${phase} ${epoch}`;
      used.set(key, [...(used.get(key) ?? []), ...assembled(all, position)]);
    }
    assert.deepEqual([...used.keys()], ["train 0", "validation 0", "train 1", "validation 1", "test 1"]);
    for (const epoch of [0, 1])
      assert.deepEqual(used.get(`train ${epoch}`), [...orders().of({ phase: "train", epoch })]);
    assert.deepEqual(used.get("validation 1"), [...splits.validation]);
    assert.deepEqual(used.get("test 1"), [...splits.test]);
  }
});

test("only the micro-batches that were asked for, in order, also on short last batches; an empty part is still a part", () => {
  const found = parts(0, 3, { firstPosition: 3, endPosition: 5, runFirst: [0, 3], runEnd: [1, 4] });
  // Position 3 is full; position 4 has 3 samples: one micro-batch.
  assert.deepEqual(
    found.map((part) => [part.place.position, part.microBatch, part.samples]),
    [
      [3, 0, 3],
      [3, 3, 1],
      [4, 0, 3],
    ],
  );
});

test("an unreachable shard's samples are served by the others, and by nobody twice", () => {
  const all = [0, 2].flatMap((shard) => parts(shard, 3, { unreachable: [1] }));
  assert.deepEqual(assembled(all, 1), [...orders().of({ phase: "train", epoch: 0 })].slice(0, 10));
});

test("walks in different epochs make each order once, not once a position", () => {
  const shared = orders();
  const longer = { ...timetable, epochs: 3 };
  const walks = [1, epochEnd(longer, 0) + 1, epochEnd(longer, 1) + 1].map((firstPosition) =>
    walk(0, 1, { firstPosition, endPosition: firstPosition + 4 }, shared, longer),
  );
  // Taken in turn: 4 steps, of which the last is one micro-batch.
  for (let part = 0; part < 4 * 3 + 1; part++) for (const each of walks) assert.equal(each.next().done, false);
  for (const each of walks) assert.equal(each.next().done, true);
  assert.equal(shared.made, 3);
});
