import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { makeShardMap } from "@lockstep/dataset";
import { RpcError, ShardAssignment, ShardHello, type ShardMessage, type ShardOrder } from "@lockstep/rpc";
import { DataShards, type DataShardsOptions } from "./data-shards.js";

type Message = NonNullable<ShardMessage["message"]>;

/** One stream: what the data-shard says is read in order; its end is the stream's. */
class Stream {
  readonly orders: ShardOrder["order"][] = [];
  readonly #said: ShardMessage[] = [];
  #ended = false;
  #wake = (): void => undefined;
  readonly serving: Promise<void>;

  constructor(shards: DataShards, number: number, changes: Partial<ShardHello> = {}) {
    const hello = ShardHello.fromPartial({
      shard: `uuid-${number}`,
      address: `shard:${number}`,
      decoderIdentity: "decoder 1",
      build: "0.1.0",
      processId: number,
      ...changes,
    });
    this.serving = shards.serve(
      this.#messages(),
      (order) => {
        this.orders.push(order.order);
        return Promise.resolve();
      },
      hello,
    );
  }

  say(message: Message): void {
    this.#said.push({ message });
    this.#wake();
  }

  end(): Promise<void> {
    this.#ended = true;
    this.#wake();
    return this.serving;
  }

  get told(): string[] {
    return this.orders.map((order) => order?.$case ?? "");
  }

  async *#messages(): AsyncGenerator<ShardMessage> {
    for (;;) {
      const next = this.#said.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function newShards(changes: Partial<DataShardsOptions> = {}) {
  const clock = { ms: 0 };
  const failures: string[] = [];
  const shards = new DataShards({
    count: 2,
    strict: true,
    assignment: ShardAssignment.fromPartial({ job: "job" }),
    silenceMs: 1_000,
    measureMs: 5_000,
    now: () => clock.ms,
    processOf: (processId) => ({ name: `data-shard-${processId}`, order: processId }),
    failed: (sentence) => failures.push(sentence),
    ...changes,
  });
  return { shards, clock, failures };
}

const never = new AbortController().signal;
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const measured = (pixels: number): Message => ({ $case: "measured", value: { pixels, sums: [], squares: [] } });

describe("the data-shards of a job", () => {
  test("are ready when all have said so; measure in parts that tile the training samples; get the map", async () => {
    const { shards } = newShards();
    const streams = [new Stream(shards, 2), new Stream(shards, 1)];
    let isReady = false;
    const ready = shards.ready(never).then(() => (isReady = true));
    streams[0]?.say({ $case: "ready", value: {} });
    await settled();
    assert.equal(isReady, false);
    streams[1]?.say({ $case: "ready", value: {} });
    await ready;

    const sums = shards.measure(7, never);
    for (const stream of streams) stream.say(measured(10));
    assert.deepEqual(
      (await sums).map((part) => part.pixels),
      [10, 10],
    );
    const parts = streams.map((stream) => stream.orders.find((order) => order?.$case === "measure")?.value);
    assert.deepEqual(parts, [
      { first: 3, end: 7 },
      { first: 0, end: 3 },
    ]);

    const map = shards.announce(makeShardMap({ version: 1, sampleCount: 100, shardCount: 2 }));
    assert.deepEqual(map.addresses, ["shard:1", "shard:2"], "in the order of launch, not of arrival");
    for (const stream of streams) assert.equal(stream.told.at(-1), "shards");
    shards.dismiss("done");
    for (const stream of streams) assert.equal(stream.told.at(-1), "done");
    await Promise.all(streams.map((stream) => stream.end()));
  });

  test("one whose stream broke comes back, and is asked and told again", async () => {
    const { shards } = newShards({ count: 1 });
    const first = new Stream(shards, 1);
    first.say({ $case: "ready", value: {} });
    await shards.ready(never);
    const sums = shards.measure(4, never);
    await first.end();
    const second = new Stream(shards, 1);
    second.say({ $case: "ready", value: {} });
    await settled();
    assert.deepEqual(second.told, ["assignment", "measure"]);
    second.say(measured(3));
    assert.equal((await sums)[0]?.pixels, 3);
    shards.announce(makeShardMap({ version: 1, sampleCount: 4, shardCount: 1 }));
    await second.end();
    const third = new Stream(shards, 1);
    await settled();
    assert.deepEqual(third.told, ["assignment", "shards"]);
    await third.end();
  });

  test("a failure names the file, or the data-shard whose own it is", async () => {
    const { shards, failures } = newShards();
    const stream = new Stream(shards, 1);
    stream.say({ $case: "failed", value: { sentence: "ant/1.png changed during the run", jobFault: true } });
    stream.say({ $case: "failed", value: { sentence: "out of memory", jobFault: false } });
    await stream.end();
    assert.deepEqual(failures, ["ant/1.png changed during the run", "data-shard-1: out of memory"]);
  });

  test("silence is a failure, a heartbeat is none", async () => {
    const { shards, clock, failures } = newShards();
    const stream = new Stream(shards, 1);
    clock.ms = 900;
    stream.say({
      $case: "heartbeat",
      value: { progress: 1, samplesServed: 0, cacheBytes: 0, cacheHits: 0, cacheMisses: 0 },
    });
    await settled();
    clock.ms = 1_800;
    shards.tick();
    assert.deepEqual(failures, []);
    clock.ms = 1_900;
    shards.tick();
    assert.deepEqual(failures, ["data-shard-1 has been silent for 1 s"]);
    await stream.end();
  });

  test("measuring fails when no further image is decoded for long, however alive the data-shard is", async () => {
    const { shards, clock, failures } = newShards({ count: 1, silenceMs: 1_000_000 });
    const stream = new Stream(shards, 1);
    const beat = async (ms: number, progress: number): Promise<void> => {
      clock.ms = ms;
      stream.say({
        $case: "heartbeat",
        value: { progress, samplesServed: 0, cacheBytes: 0, cacheHits: 0, cacheMisses: 0 },
      });
      await settled();
      shards.tick();
    };
    stream.say({ $case: "ready", value: {} });
    await shards.ready(never);
    await beat(60_000, 0); // nothing is asked for yet
    const sums = shards.measure(4, never);
    await beat(64_000, 1);
    await beat(68_900, 1);
    assert.deepEqual(failures, []);
    await beat(69_000, 1);
    assert.deepEqual(failures, ["data-shard-1 has not decoded a further image for 5 s"]);
    stream.say(measured(1));
    await sums;
    await stream.end();
  });

  test("waiting ends when the job does, and leaves nothing on its signal", async () => {
    const { shards } = newShards();
    const stopped = new AbortController();
    const ready = shards.ready(stopped.signal);
    stopped.abort(new Error("cancelled"));
    await assert.rejects(ready, /cancelled/);
    assert.equal(getEventListeners(stopped.signal, "abort").length, 0);
  });

  test("another decoder or build is refused, and more than the job wants", async () => {
    const refusal = (pattern: RegExp) => (error: unknown) => error instanceof RpcError && pattern.test(error.message);
    const { shards } = newShards();
    const first = new Stream(shards, 1);
    for (const changes of [{ decoderIdentity: "decoder 2" }, { build: "0.2.0" }]) {
      await assert.rejects(new Stream(shards, 2, changes).serving, refusal(/decoder 1, Lockstep 0\.1\.0/));
    }
    const second = new Stream(shards, 2);
    await assert.rejects(new Stream(shards, 3).serving, refusal(/has its 2 data-shards/));
    await Promise.all([first.end(), second.end()]);
  });
});
