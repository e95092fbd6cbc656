import assert from "node:assert/strict";
import { test } from "node:test";
import { makeShardMap, ownerOf, samplesPerShard } from "./shard-map.js";

const nobody: ReadonlySet<number> = new Set();

test("every sample has an owner, and shards have even shares", () => {
  for (const shardCount of [1, 2, 3, 5]) {
    for (const sampleCount of [1, 7, 100, 2062, 10_000]) {
      const map = makeShardMap({ version: 1, sampleCount, shardCount });
      const counts = Array.from({ length: shardCount }, () => 0);
      for (let sample = 0; sample < sampleCount; sample++) {
        const owner = ownerOf(map, sample, nobody) as number;
        counts[owner] = (counts[owner] as number) + 1;
      }
      assert.deepEqual(samplesPerShard(map, sampleCount), counts);
      if (sampleCount < 100) continue;
      const [least, most] = [Math.min(...counts), Math.max(...counts)];
      assert.ok(most - least <= map.blockSamples, `${shardCount} shards, ${sampleCount} samples: ${counts.join()}`);
    }
  }
});

test("a block has two different owners where there are two shards, and one otherwise", () => {
  const map = makeShardMap({ version: 1, sampleCount: 1000, shardCount: 4, blockSamples: 10 });
  for (let block = 0; block < 100; block++) assert.notEqual(map.owners[2 * block], map.owners[2 * block + 1]);
  assert.equal(makeShardMap({ version: 1, sampleCount: 10, shardCount: 1 }).ownersPerBlock, 1);
});

test("the blocks of an unreachable shard fall to all others alike", () => {
  const map = makeShardMap({ version: 1, sampleCount: 1200, shardCount: 4, blockSamples: 1 });
  const gained = [0, 0, 0, 0];
  for (let sample = 0; sample < 1200; sample++) {
    if (ownerOf(map, sample, nobody) !== 2) continue;
    const heir = ownerOf(map, sample, new Set([2])) as number;
    gained[heir] = (gained[heir] as number) + 1;
  }
  assert.deepEqual(gained, [100, 100, 0, 100]);
});

test("without a reachable owner there is none", () => {
  const map = makeShardMap({ version: 1, sampleCount: 8, shardCount: 2, blockSamples: 2 });
  assert.equal(ownerOf(map, 3, new Set([0, 1])), undefined);
  assert.throws(() => ownerOf(map, 8, nobody), /outside/);
});
