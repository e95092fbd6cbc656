import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { describe, test } from "node:test";
import { FrameKind, crc32c, type Frame } from "@lockstep/rpc";
import { Collective, type Reduced } from "./all-reduce.js";
import { PeerError } from "./peer-client.js";
import type { PositionShape } from "./position-exchange.js";
import { generation, listen, startCluster, type Cluster } from "./test-cluster.js";
import { bits, countSum, draws, leafCounts, leafVectors, randomRuns, treeSum } from "./test-vectors.js";

const never = new AbortController().signal;

interface Case {
  microBatches: number;
  runs: { first: number; end: number }[][];
  vectorLength: number;
  countsLength?: number;
  seed?: number;
}

/** Every member adds its micro-batches, in an order of its own, and reduces. */
async function reduceOnce(cluster: Cluster, position: number, one: Case, signal = never): Promise<Reduced[]> {
  const countsLength = one.countsLength ?? 4;
  const vectors = leafVectors(one.microBatches, one.vectorLength, one.seed ?? position);
  const counts = leafCounts(one.microBatches, countsLength, one.seed ?? position);
  const shape: PositionShape = { position, countsLength, ...one };
  return Promise.all(
    cluster.members.map(async (member, rank) => {
      const partials = member.begin(shape);
      const leaves = (one.runs[rank] ?? []).flatMap(({ first, end }) =>
        Array.from({ length: end - first }, (_, at) => first + at),
      );
      if (rank % 2 === 1) leaves.reverse();
      for (const leaf of leaves) {
        partials.add(leaf, vectors[leaf] ?? new Float32Array(0), counts[leaf] ?? new BigUint64Array(0));
      }
      return member.allReduce(partials, signal);
    }),
  );
}

function assertReduced(results: readonly Reduced[], position: number, one: Case): void {
  const expected = bits(treeSum(leafVectors(one.microBatches, one.vectorLength, one.seed ?? position)));
  const expectedCounts = countSum(leafCounts(one.microBatches, one.countsLength ?? 4, one.seed ?? position));
  for (const [rank, reduced] of results.entries()) {
    assert.equal(reduced.position, position);
    assert.equal(reduced.microBatches, one.microBatches);
    const found = bits(reduced.sums);
    assert.equal(found.length, expected.length, `rank ${rank}`);
    const differs = found.findIndex((word, at) => word !== expected[at]);
    assert.equal(differs, -1, `rank ${rank}, position ${position}: value ${differs} has other bits`);
    assert.deepEqual([...reduced.counts], expectedCounts, `rank ${rank}`);
  }
}

/** Above 64 KiB (two hops), with several pieces per segment and a ragged end. */
const longVector = 2 * 1_048_576 + 12_345;
const shortVector = 1_000;

describe("the reduced vector has the bits of the tree", () => {
  for (const ranks of [1, 2, 3, 4]) {
    test(`with ${ranks} members, random runs and micro-batches, both hops, several positions`, async () => {
      const draw = draws(ranks);
      const cluster = await startCluster(ranks);
      try {
        for (let position = 1; position <= 8; position++) {
          const microBatches = 1 + Math.floor(draw() * 12);
          const vectorLength = position === 4 ? longVector : position % 2 === 1 ? shortVector : 20_001;
          const one = { microBatches, runs: randomRuns(ranks, microBatches, draw), vectorLength };
          assertReduced(await reduceOnce(cluster, position, one), position, one);
        }
      } finally {
        await cluster.close();
      }
    });
  }

  test("when messages come late and in bits", async () => {
    const draw = draws(5);
    const cluster = await startCluster(3, { delay: () => draw() * 8 });
    try {
      for (let position = 1; position <= 8; position++) {
        const microBatches = 1 + Math.floor(draw() * 9);
        const one = {
          microBatches,
          runs: randomRuns(3, microBatches, draw),
          vectorLength: position % 2 ? 400 : 30_000,
        };
        assertReduced(await reduceOnce(cluster, position, one), position, one);
      }
    } finally {
      await cluster.close();
    }
  });

  test("when a short last batch leaves members without work", async () => {
    const cluster = await startCluster(4);
    try {
      const runs = [[{ first: 0, end: 1 }], [], [], []];
      for (const [at, vectorLength] of [0, shortVector, longVector].entries()) {
        const one = { microBatches: 1, runs, vectorLength };
        assertReduced(await reduceOnce(cluster, at + 1, one), at + 1, one);
      }
    } finally {
      await cluster.close();
    }
  });

  test("minus zero stays minus zero where a sum has one term", async () => {
    const cluster = await startCluster(2);
    try {
      const results = await Promise.all(
        cluster.members.map((member, rank) => {
          const runs = [[], [{ first: 0, end: 1 }]];
          const partials = member.begin({ position: 1, microBatches: 1, runs, vectorLength: 30_000, countsLength: 0 });
          if (rank === 1) partials.add(0, new Float32Array(30_000).fill(-0), new BigUint64Array(0));
          return member.allReduce(partials, never);
        }),
      );
      for (const { sums } of results) assert.ok(sums.every((value) => Object.is(value, -0)));
    } finally {
      await cluster.close();
    }
  });
});

test("vectors are allocated in the first positions only", async () => {
  const cluster = await startCluster(2);
  try {
    const runs = [[{ first: 0, end: 2 }], [{ first: 2, end: 4 }]];
    const allocated: number[] = [];
    for (let position = 1; position <= 8; position++) {
      await reduceOnce(cluster, position, { microBatches: 4, runs, vectorLength: 300_000 });
      allocated.push(cluster.members[0]?.allocatedBytes ?? 0);
    }
    assert.equal(allocated[7], allocated[2]);
  } finally {
    await cluster.close();
  }
});

describe("a position that cannot be reduced", () => {
  test("ends for everyone when aborted", async () => {
    const cluster = await startCluster(3);
    try {
      const abort = new AbortController();
      const shape = { position: 1, microBatches: 3, vectorLength: longVector, countsLength: 0 };
      const runs = [0, 1, 2].map((first) => [{ first, end: first + 1 }]);
      const waiting = [0, 1].map((rank) => {
        const member = cluster.members[rank] as Collective;
        const partials = member.begin({ ...shape, runs });
        partials.add(rank, new Float32Array(longVector), new BigUint64Array(0));
        return member.allReduce(partials, abort.signal);
      });
      abort.abort(new Error("the job was cancelled"));
      for (const wait of waiting) await assert.rejects(wait, /the job was cancelled/);
    } finally {
      await cluster.close();
    }
  });

  test("names the member that sends nothing", async () => {
    const cluster = await startCluster(2, { silenceMs: 50 });
    try {
      const runs = [[{ first: 0, end: 1 }], [{ first: 1, end: 2 }]];
      const member = cluster.members[0] as Collective;
      const partials = member.begin({ position: 1, microBatches: 2, runs, vectorLength: 1, countsLength: 0 });
      partials.add(0, Float32Array.of(1), new BigUint64Array(0));
      await assert.rejects(member.allReduce(partials, never), (error) => {
        assert.ok(error instanceof PeerError);
        assert.equal(error.fault, "silent");
        assert.match(error.message, /^rank 1 at 127\.0\.0\.1:\d+ sent nothing for 50 ms/);
        return true;
      });
    } finally {
      await cluster.close();
    }
  });

  test("names the member that is gone", async () => {
    const cluster = await startCluster(2);
    try {
      const runs = [[{ first: 0, end: 1 }], [{ first: 1, end: 2 }]];
      const member = cluster.members[0] as Collective;
      const partials = member.begin({ position: 1, microBatches: 2, runs, vectorLength: 1, countsLength: 0 });
      partials.add(0, Float32Array.of(1), new BigUint64Array(0));
      const waiting = member.allReduce(partials, never);
      cluster.members[1]?.close();
      await cluster.listeners[1]?.running.stop(0);
      await assert.rejects(
        waiting,
        (error) => error instanceof PeerError && error.fault === "lost" && error.rank === 1,
      );
    } finally {
      await cluster.close();
    }
  });

  test("is refused when runs leave a micro-batch out or positions are begun out of order", async () => {
    const alone = new Collective({ generation, rank: 0, addresses: ["127.0.0.1:1"], firstPosition: 4 });
    const shape = { position: 4, microBatches: 2, vectorLength: 1, countsLength: 0 };
    assert.throws(
      () => alone.begin({ ...shape, position: 5, runs: [[{ first: 0, end: 2 }]] }),
      /position 5 begun, 4 is next/,
    );
    assert.throws(
      () => alone.begin({ ...shape, runs: [[{ first: 0, end: 1 }]] }),
      /no one computes|cover micro-batches/,
    );
    await Promise.resolve();
  });
});

/** Rank 0 is a Collective; rank 1 is played by the test, which answers with exactly these frames. */
async function reduceAgainst(
  frames: (valid: (over: Partial<Frame>) => Frame) => Frame[],
  silenceMs = 5_000,
): Promise<Reduced> {
  const own = await listen();
  const payload = new Uint8Array(Float32Array.of(1, 2).buffer);
  const valid = (over: Partial<Frame>): Frame => ({
    kind: FrameKind.PARTIAL,
    job: generation.job,
    ballot: generation.ballot,
    planHash: generation.planHash,
    position: 1,
    nodeFirst: 1,
    nodeEnd: 2,
    offset: 0,
    total: 8,
    crc32c: crc32c(payload),
    counts: [5n],
    payload,
    ...over,
  });
  const peer = await listen();
  peer.peerServer.offer({
    generation,
    ranks: 2,
    async *framesTo(_to, _firstPosition, signal) {
      yield* frames(valid);
      await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    },
  });
  const addresses = [own.running.address, peer.running.address];
  const member = new Collective({
    generation,
    rank: 0,
    addresses,
    firstPosition: 1,
    server: own.peerServer,
    silenceMs,
  });
  try {
    const runs = [[{ first: 0, end: 1 }], [{ first: 1, end: 2 }]];
    const partials = member.begin({ position: 1, microBatches: 2, runs, vectorLength: 2, countsLength: 1 });
    partials.add(0, Float32Array.of(10, 20), BigUint64Array.of(2n ** 64n - 1n));
    return await member.allReduce(partials, never);
  } finally {
    member.close();
    await own.running.stop(0);
    await peer.running.stop(0);
  }
}

describe("frames of a peer", () => {
  test("are added once, however often they come, and counts wrap at 2^64", async () => {
    const { sums, counts } = await reduceAgainst((valid) => [
      valid({ offset: 0 }),
      valid({ offset: 0 }),
      valid({ offset: 0 }),
    ]);
    assert.deepEqual([...sums], [11, 22]);
    assert.deepEqual([...counts], [4n]);
  });

  const wrong: Record<string, { frame: Partial<Frame>; says: RegExp }> = {
    "of an older generation": { frame: { ballot: { incarnation: 3, counter: 6 } }, says: /generation 3\.6/ },
    "of a newer generation": { frame: { ballot: { incarnation: 4, counter: 0 } }, says: /generation 4\.0/ },
    "of another plan": { frame: { planHash: 98n }, says: /generation 3\.7/ },
    "of another job": { frame: { job: "letters" }, says: /job letters/ },
    "with a flipped bit": { frame: { payload: new Uint8Array(Float32Array.of(1, 3).buffer) }, says: /damaged frame/ },
    "of a node that is not the sender's": { frame: { nodeFirst: 0, nodeEnd: 1 }, says: /\[0, 1\), which is no node/ },
    "without work, although it has work": { frame: { nodeFirst: 0, nodeEnd: 0 }, says: /empty partial/ },
    "at a place where no piece begins": { frame: { offset: 4 }, says: /byte 4/ },
    "of another length": { frame: { payload: new Uint8Array(4) }, says: /4 bytes of 8, not 8 of 8/ },
    "with too few counts": { frame: { counts: [] }, says: /0 counts, not 1/ },
    "of a kind that does not belong there": { frame: { kind: FrameKind.BYTES }, says: /kind 4/ },
  };
  for (const [which, { frame, says }] of Object.entries(wrong)) {
    test(`${which} are refused, naming the peer`, async () => {
      await assert.rejects(
        reduceAgainst((valid) => [valid(frame), valid({})]),
        (error) => {
          assert.ok(error instanceof PeerError, String(error));
          assert.match(error.message, /^rank 1 at 127\.0\.0\.1:\d+ /);
          assert.match(error.message, says);
          return true;
        },
      );
    });
  }
});

test("members reduce over IPv6", async (t) => {
  if (
    !Object.values(networkInterfaces())
      .flat()
      .some((face) => face?.address === "::1")
  ) {
    return t.skip("THIS MACHINE HAS NO IPv6 LOOPBACK");
  }
  const cluster = await startCluster(2, { listenOptions: { listen: "[::1]:0" } });
  try {
    const one = { microBatches: 2, runs: [[{ first: 0, end: 1 }], [{ first: 1, end: 2 }]], vectorLength: 10 };
    assertReduced(await reduceOnce(cluster, 1, one), 1, one);
  } finally {
    await cluster.close();
  }
});
