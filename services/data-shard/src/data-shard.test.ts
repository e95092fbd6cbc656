// The whole process, over real sockets: a coordinator of a few lines on one side, a worker's calls on the other.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { buildManifest, encodeManifest, makeShardMap, openSource, type DatasetManifest } from "@lockstep/dataset";
import { pixelIdentity } from "@lockstep/dataset/pixels";
import {
  type Batch,
  type BatchesRequest,
  crc32c,
  DataServiceClient,
  duplexMethod,
  type ManifestPiece,
  type ManifestRequest,
  membershipService,
  openClient,
  readStream,
  RpcError,
  type ShardMessage,
  type ShardOrder,
  startServer,
  Status,
  streamMethod,
} from "@lockstep/rpc";

const main = fileURLToPath(new URL("./main.js", import.meta.url));
type Message = NonNullable<ShardMessage["message"]>;
type Values = { [Case in Message["$case"]]: Extract<Message, { $case: Case }>["value"] };
type Order = NonNullable<ShardOrder["order"]>;

const height = 4;
const width = 5;
const spec = {
  seed: 3,
  dataset: { imageSize: { height, width }, channels: 1 },
  preprocess: { resize: "crop" },
  augmentation: { horizontalFlip: 0, randomCropPadding: 0 },
  training: { epochs: 2, batchSize: 8, microBatches: 2 },
};

/** IDX files of 40 images, each filled with its index. */
async function makeDataset(root: string): Promise<DatasetManifest> {
  mkdirSync(root, { recursive: true });
  const images = Buffer.alloc(16 + 40 * height * width);
  [0x803, 40, height, width].forEach((word, k) => images.writeUInt32BE(word, 4 * k));
  for (let k = 0; k < 40; k++) images.fill(k, 16 + k * height * width, 16 + (k + 1) * height * width);
  writeFileSync(join(root, "train-images-idx3-ubyte"), images);
  const labels = Buffer.from(Array.from({ length: 40 }, (_, k) => k % 2));
  writeFileSync(join(root, "train-labels-idx1-ubyte"), Buffer.concat([Buffer.from([0, 0, 8, 1, 0, 0, 0, 40]), labels]));
  return buildManifest(await openSource(root), { split: { train: 0.8, validation: 0.1, test: 0.1, seed: 0 } });
}

/** One attached data-shard as its coordinator sees it. */
interface Attached {
  /** The next message of this kind. */
  next<Case extends Message["$case"]>(kind: Case): Promise<Values[Case]>;
  send(order: Order): Promise<void>;
}

interface Scene {
  readonly manifest: DatasetManifest;
  readonly shard: Attached;
  readonly process: ChildProcess;
  readonly address: string;
}

async function withShard(use: (scene: Scene) => Promise<void>, flags: readonly string[] = []): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "lockstep-data-shard-"));
  const manifest = await makeDataset(root);
  const bytes = encodeManifest(manifest);
  let attached: (shard: Attached) => void;
  const shard = new Promise<Attached>((resolve) => (attached = resolve));
  const implementation = {
    attachWorker: () => assert.fail("no worker here"),
    attachShard: duplexMethod<ShardMessage, ShardOrder>(async (messages, send, { signal }) => {
      const queue = new MessageQueue();
      attached({ next: (kind) => queue.next(kind), send: (order) => send({ order }) });
      for await (const { message } of messages) if (message !== undefined) queue.add(message);
      if (!signal.aborted) queue.end();
    }),
    manifest: streamMethod<ManifestRequest, ManifestPiece>(async function* () {
      for (let at = 0; at < bytes.length; at += 1000) yield { bytes: bytes.subarray(at, at + 1000) };
    }),
  };
  const server = await startServer({ services: [{ definition: membershipService, implementation }] });
  const child = spawn(process.execPath, [main, "--coordinator", server.address, "--job", "job-1", ...flags], {
    stdio: ["pipe", "inherit", process.env["LOCKSTEP_TEST_LOGS"] === undefined ? "ignore" : "inherit"],
  });
  try {
    const hello = await (await shard).next("hello");
    assert.deepEqual([hello.job, hello.decoderIdentity, hello.processId], ["job-1", pixelIdentity, child.pid]);
    await use({ manifest, shard: await shard, process: child, address: hello.address });
  } finally {
    child.kill("SIGKILL");
    await server.stop(0);
    rmSync(root, { recursive: true });
  }
}

class MessageQueue {
  readonly #messages: Message[] = [];
  #arrived: () => void = () => undefined;
  #ended = false;

  add(message: Message): void {
    this.#messages.push(message);
    this.#arrived();
  }

  end(): void {
    this.#ended = true;
    this.#arrived();
  }

  async next<Case extends Message["$case"]>(kind: Case): Promise<Values[Case]> {
    for (;;) {
      const at = this.#messages.findIndex((message) => message.$case === kind);
      const [found] = at < 0 ? [] : this.#messages.splice(at, 1);
      if (found !== undefined) return found.value as Values[Case];
      assert.ok(!this.#ended, `the stream ended without ${kind}`);
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }
}

async function makeReady({ manifest, shard, address }: Scene): Promise<void> {
  const assignment = {
    job: "job-1",
    specJson: JSON.stringify(spec),
    datasetDigest: manifest.digest,
    cacheBytesMax: 1e6,
    decodeThreads: 2,
    heartbeatMs: 20,
  };
  await shard.send({ $case: "assignment", value: assignment });
  await shard.next("ready");
  const map = makeShardMap({ version: 4, sampleCount: 40, shardCount: 1 });
  await shard.send({ $case: "shards", value: { ...map, owners: [...map.owners], addresses: [address] } });
}

function request(manifest: DatasetManifest, changed: Partial<BatchesRequest> = {}): BatchesRequest {
  return {
    job: "job-1",
    datasetDigest: manifest.digest,
    shardMapVersion: 4,
    shard: 0,
    unreachable: [],
    firstPosition: 1,
    endPosition: 5,
    runFirst: [0],
    runEnd: [2],
    ...changed,
  };
}

async function batches(address: string, wanted: BatchesRequest): Promise<Batch[]> {
  const client = openClient(DataServiceClient, address);
  try {
    const found: Batch[] = [];
    const open = (options: object) => client.batches(wanted, options);
    for await (const batch of readStream(open, { what: "Batches", deadlineMs: 10_000 })) found.push(batch);
    return found;
  } finally {
    client.close();
  }
}

function isRefused(code: Status, sentence: RegExp) {
  return (thrown: unknown) => thrown instanceof RpcError && thrown.code === code && sentence.test(thrown.message);
}

/** The map arrives on another stream than the request: asked again until it is there, as a worker does. */
async function whenMapped(address: string, wanted: BatchesRequest): Promise<Batch[]> {
  for (;;) {
    try {
      return await batches(address, wanted);
    } catch (thrown) {
      if (!(thrown instanceof RpcError) || thrown.code !== Status.UNAVAILABLE) throw thrown;
    }
  }
}

test("attaches, loads the manifest, serves an epoch exactly once, measures, and leaves when the job is done", async () => {
  await withShard(async (scene) => {
    const { manifest, shard, address } = scene;
    await assert.rejects(batches(address, request(manifest)), isRefused(Status.UNAVAILABLE, /still loading/));
    await makeReady(scene);
    const served = await whenMapped(address, request(manifest));
    assert.deepEqual(
      served.map((batch) => [batch.position, batch.microBatch, batch.samples]),
      [1, 2, 3, 4].flatMap((position) => [0, 1].map((microBatch) => [position, microBatch, 4])),
    );
    const used = served.flatMap((batch) => batch.indices);
    assert.deepEqual(
      [...used].sort((a, b) => a - b),
      [...manifest.splits.train],
    );
    for (const batch of served) {
      assert.equal(batch.crc32c, crc32c(batch.pixels));
      assert.deepEqual(
        batch.labels,
        batch.indices.map((index) => index % 2),
      );
      const expected = batch.indices.flatMap((index) => Array.from({ length: height * width }, () => index));
      assert.deepEqual([...batch.pixels], expected);
    }
    assert.deepEqual(await batches(address, request(manifest)), served, "the same request gives the same bytes");

    await shard.send({ $case: "measure", value: { first: 1, end: 4 } });
    const values = [...manifest.splits.train.subarray(1, 4)].map(BigInt);
    const area = BigInt(height * width);
    assert.deepEqual(await shard.next("measured"), {
      pixels: 3 * height * width,
      sums: [values.reduce((sum, value) => sum + value, 0n) * area],
      squares: [values.reduce((sum, value) => sum + value * value, 0n) * area],
    });
    while ((await shard.next("heartbeat")).progress === 0); // the first leaves before anything is done

    await shard.send({ $case: "done", value: { why: "finished" } });
    assert.deepEqual(await once(scene.process, "exit"), [0, null]);
  });
});

test("what cannot be served is refused with its reason", async () => {
  await withShard(async (scene) => {
    await makeReady(scene);
    const { manifest, address } = scene;
    await whenMapped(address, request(manifest));
    const refusals: [Partial<BatchesRequest>, Status, RegExp][] = [
      [{ datasetDigest: "other" }, Status.FAILED_PRECONDITION, /dataset/],
      [{ job: "job-2" }, Status.FAILED_PRECONDITION, /job-1/],
      [{ shardMapVersion: 5 }, Status.UNAVAILABLE, /version 4/],
    ];
    for (const [changed, code, sentence] of refusals) {
      await assert.rejects(batches(address, request(manifest, changed)), isRefused(code, sentence));
    }
    for (const wrong of [{ firstPosition: 0 }, { endPosition: 100 }, { runEnd: [] }, { shard: 1 }]) {
      await assert.rejects(batches(address, request(manifest, wrong)), /Batches/, JSON.stringify(wrong));
    }
  });
});

test("a file that changed is reported to the worker and to the coordinator by name", async () => {
  await withShard(async (scene) => {
    await makeReady(scene);
    const { manifest, address, shard } = scene;
    const file = join(manifest.root, "train-images-idx3-ubyte");
    writeFileSync(file, Buffer.alloc(16 + 40 * height * width));
    const sentence = /train-images-idx3-ubyte changed/;
    await assert.rejects(whenMapped(address, request(manifest)), isRefused(Status.FAILED_PRECONDITION, sentence));
    const failed = await shard.next("failed");
    assert.match(failed.sentence, sentence);
    assert.equal(failed.jobFault, true);
  });
});

test("a worker that goes away in the middle of a stream leaves the data-shard serving others", async () => {
  await withShard(async (scene) => {
    await makeReady(scene);
    const { manifest, address } = scene;
    await whenMapped(address, request(manifest));
    const client = openClient(DataServiceClient, address);
    for await (const batch of readStream((options) => client.batches(request(manifest), options), {
      what: "Batches",
    })) {
      if (batch.position === 2) break;
    }
    client.close();
    assert.equal((await batches(address, request(manifest))).length, 8);
  });
});

test("leaves at once when its parent goes away", async () => {
  await withShard(
    async ({ process: child }) => {
      child.stdin?.end();
      const [code] = (await once(child, "exit")) as [number | null];
      assert.equal(code, 1);
    },
    ["--exit-with-parent"],
  );
});
