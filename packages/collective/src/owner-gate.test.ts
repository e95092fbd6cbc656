// PROTOCOL R2: nothing of position s leaves a member that has not applied s-1. Here a member has applied s-1 when it reduces s.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PeerError } from "./peer-client.js";
import { startCluster } from "./test-cluster.js";

const runs = [[{ first: 0, end: 1 }], []];
const never = new AbortController().signal;

// 4 values: one hop. 30,000: two, in which the member without work owns a segment.
for (const vectorLength of [4, 30_000]) {
  const title =
    vectorLength === 4
      ? "a member without work is heard only when it reduces the position itself"
      : "an owner without work sends no sum before it reduces the position itself";
  test(title, async () => {
    const cluster = await startCluster(2, { silenceMs: 100 });
    try {
      const [first, second] = cluster.members;
      assert.ok(first !== undefined && second !== undefined);
      const shape = { position: 1, microBatches: 1, runs, vectorLength, countsLength: 0 };
      const partials = first.begin(shape);
      second.begin(shape); // it takes frames of position 1, and is still about to apply what comes before
      partials.add(0, new Float32Array(vectorLength).fill(1), new BigUint64Array(0));
      await assert.rejects(
        first.allReduce(partials, never),
        (error) => error instanceof PeerError && error.fault === "silent" && error.rank === 1,
      );
    } finally {
      await cluster.close();
    }
  });
}
