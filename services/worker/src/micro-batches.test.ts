import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import {
  Batch,
  BatchesRequest,
  crc32c,
  dataService,
  RpcError,
  type RunningServer,
  ShardMap,
  startServer,
  Status,
  streamMethod,
} from "@lockstep/rpc";
import { openLog } from "@lockstep/telemetry";
import { JobFault } from "./job-fault.js";
import { MicroBatches, type SampledMicroBatch } from "./micro-batches.js";

const sampleBytes = 12;
const samples = 4;
const log = openLog({ source: "test", level: "error" });
const opened: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0)) await each.stop();
});

/** Sample k of position p has index 100 p + k, label k % 3 and pixels that are all its index. */
function partOf(position: number, microBatch: number, slots: number[]): Batch {
  const indices = slots.map((slot) => 100 * position + microBatch * samples + slot);
  const pixels = Uint8Array.from(indices.flatMap((index) => new Array<number>(sampleBytes).fill(index % 256)));
  const labels = indices.map((index) => index % 3);
  return Batch.create({ position, microBatch, samples, slots, indices, labels, crc32c: crc32c(pixels), pixels });
}

type Serve = (request: BatchesRequest, call: number) => Iterable<Batch>;

async function startShard(serve: Serve): Promise<RunningServer> {
  let calls = 0;
  const batches = streamMethod<BatchesRequest, Batch>(async function* (request) {
    yield* serve(request, calls++);
  });
  const server = await startServer({ services: [{ definition: dataService, implementation: { batches } }] });
  opened.push({ stop: () => server.stop(0) });
  return server;
}

async function openBatches(shards: readonly Serve[], endPosition = 3): Promise<MicroBatches> {
  const addresses: string[] = [];
  for (const serve of shards) addresses.push((await startShard(serve)).address);
  const request = BatchesRequest.create({ job: "digits", firstPosition: 1, endPosition, runFirst: [0], runEnd: [2] });
  const microBatches = new MicroBatches({
    shards: ShardMap.create({ version: 1, addresses }),
    token: undefined,
    requests: [request],
    sampleBytes,
    classes: 3,
    log,
  });
  opened.push({ stop: async () => microBatches.close() });
  return microBatches;
}

/** Serves `slotsOf` each of the two micro-batches of every position asked for. */
function serving(slotsOf: (position: number, microBatch: number) => number[]): Serve {
  return function* (request) {
    for (let position = request.firstPosition; position < request.endPosition; position++) {
      for (const microBatch of [0, 1]) yield partOf(position, microBatch, slotsOf(position, microBatch));
    }
  };
}

async function take(microBatches: MicroBatches, position: number): Promise<SampledMicroBatch[]> {
  const taken: SampledMicroBatch[] = [];
  const place = {
    position,
    epoch: 0,
    phase: "train",
    index: 0,
    steps: 3,
    firstSample: 0,
    endSample: 8,
    microBatches: 2,
  } as const;
  for await (const microBatch of microBatches.of(place, [{ first: 0, end: 2 }])) taken.push(microBatch);
  return taken;
}

function assertWhole(batch: SampledMicroBatch | undefined, position: number, microBatch: number): void {
  const expected = partOf(position, microBatch, [0, 1, 2, 3]);
  assert.deepEqual([batch?.position, batch?.microBatch, batch?.samples], [position, microBatch, samples]);
  assert.deepEqual([...(batch?.indices ?? [])], expected.indices);
  assert.deepEqual([...(batch?.labels ?? [])], expected.labels);
  assert.deepEqual(Buffer.from(batch?.pixels ?? []), Buffer.from(expected.pixels));
}

describe("micro-batches", () => {
  test("are put together from the parts of two data-shards, each sample in its slot", async () => {
    const odd = serving((_, microBatch) => (microBatch === 0 ? [1, 3] : []));
    const even = serving((_, microBatch) => (microBatch === 0 ? [0, 2] : [0, 1, 2, 3]));
    const microBatches = await openBatches([odd, even]);
    for (const position of [1, 2]) {
      const [first, second] = await take(microBatches, position);
      assertWhole(first, position, 0);
      assertWhole(second, position, 1);
    }
  });

  test("go on where a stream broke, without a sample twice or left out", async () => {
    const all = serving(() => [0, 1, 2, 3]);
    const breaking: Serve = function* (request, call) {
      if (call > 0) return yield* all(request, call);
      yield partOf(1, 0, [0, 1, 2, 3]);
      throw new RpcError(Status.UNAVAILABLE, "The data-shard is restarting.");
    };
    const microBatches = await openBatches([breaking]);
    for (const position of [1, 2]) {
      const [first, second] = await take(microBatches, position);
      assertWhole(first, position, 0);
      assertWhole(second, position, 1);
    }
  });

  test("a data-shard's refusal is a fault of the job, in the data-shard's words", async () => {
    const refusing: Serve = () => {
      throw new RpcError(Status.FAILED_PRECONDITION, "cats/1.png changed during the run");
    };
    const microBatches = await openBatches([refusing]);
    await assert.rejects(take(microBatches, 1), new JobFault("cats/1.png changed during the run"));
  });

  const faults: [string, (part: Batch) => Batch, RegExp][] = [
    ["damaged pixels", (part) => ({ ...part, crc32c: (part.crc32c ^ 1) >>> 0 }), /arrived damaged/],
    ["another micro-batch", (part) => ({ ...part, microBatch: 1 }), /something else than position 1, micro-batch 0/],
    ["a class that is not there", (part) => ({ ...part, labels: [0, 1, 2, 3] }), /something else/],
    ["one sample twice", (part) => ({ ...part, slots: [0, 1, 1, 3] }), /Sample 1 .* came twice/],
    ["a sample too few", () => partOf(1, 0, [0, 1, 2]), /another number of samples/],
  ];
  for (const [name, spoil, sentence] of faults) {
    test(`${name}: refused`, async () => {
      const microBatches = await openBatches([() => [spoil(partOf(1, 0, [0, 1, 2, 3]))]]);
      await assert.rejects(take(microBatches, 1), sentence);
    });
  }

  test("a data-shard is made to wait when nobody takes what it sends", async () => {
    let sent = 0;
    const pixels = new Uint8Array(8 * 1024 * 1024);
    const checksum = crc32c(pixels);
    const eager: Serve = function* () {
      for (; sent < 100; sent++) {
        yield {
          ...partOf(1 + (sent >> 1), sent & 1, []),
          slots: [0],
          indices: [0],
          labels: [0],
          pixels,
          crc32c: checksum,
        };
      }
    };
    const microBatches = await openBatches([eager], 100);
    await assert.rejects(take(microBatches, 1)); // 8 MiB are no part of 12-byte samples, but they have arrived
    let before = -1;
    while (sent > before) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert.ok(sent < 40, `${sent} parts of 8 MiB were sent and none was taken`);
  });
});
