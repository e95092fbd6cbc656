/** Whole workers in one process: a coordinator and a data-shard that only speak the protocol, real engines and sockets between. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { parametersSha256, unpackState } from "@lockstep/model";
import { dealRuns, locate, makePlan, microBatchRange, type Plan } from "@lockstep/protocol";
import { splitDraws } from "@lockstep/random";
import {
  ArtifactRequest,
  Assignment,
  Batch,
  type BatchesRequest,
  crc32c,
  dataService,
  duplexMethod,
  type Failed,
  type Frame,
  membershipService,
  openClient,
  PeerServiceClient,
  type PositionRecord,
  readStream,
  RpcError,
  type RunningServer,
  startServer,
  StateRequest,
  Status,
  streamMethod,
  type WorkerMessage,
  type WorkerOrder,
} from "@lockstep/rpc";
import { sha256 } from "@lockstep/model";
import { openLog } from "@lockstep/telemetry";
import { Worker } from "./worker.js";
import { prepareJob } from "./training.js";

const job = "shapes";
const classes = ["round", "square", "star"];
const size = { height: 8, width: 8 };
const sampleBytes = 8 * 8 * 3;
const log = openLog({ source: "test", level: "warn" });
const servers: RunningServer[] = [];

const spec = {
  name: job,
  seed: 5,
  dataset: { path: "/nowhere", format: "folder", imageSize: size, channels: 3 },
  preprocess: { normalize: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] } },
  model: {
    layers: [
      { type: "conv2d", filters: 4, kernel: 3, padding: 1 },
      { type: "batch-norm" },
      { type: "relu" },
      { type: "max-pool", kernel: 2 },
      { type: "flatten" },
      { type: "dropout", rate: 0.25 },
      { type: "dense", units: 3 },
    ],
  },
  optimizer: { name: "sgd", learningRate: 0.05 },
  training: { epochs: 2, batchSize: 20, microBatches: 4 },
  cluster: { workers: 1 },
};

const assignment = Assignment.create({
  job,
  specJson: JSON.stringify(spec),
  classes,
  trainSamples: 48, // two full batches of 20, and one of 8: two micro-batches, 5 and 3
  validationSamples: 7,
  testSamples: 4,
  threads: 2,
  heartbeatMs: 20,
  patienceMs: 1_000,
  specHash: 77n,
  datasetDigest: "d",
});
const { timetable } = prepareJob(assignment);

after(async () => {
  for (const server of servers) await server.stop(0);
});

/** Sample k of every phase: class k % 3, bright where the class says, under noise. */
function batchOf(position: number, microBatch: number): Batch {
  const place = locate(timetable, position);
  const { first, end } = microBatchRange(timetable, place, microBatch);
  const indices = Array.from({ length: end - first }, (_, i) => first + i);
  const pixels = new Uint8Array(indices.length * sampleBytes);
  for (const [slot, index] of indices.entries()) {
    const draws = splitDraws(index, place.phase);
    for (let i = 0; i < sampleBytes; i++) {
      pixels[slot * sampleBytes + i] = draws.below(150) + (i % 3 === index % 3 ? 100 : 0);
    }
  }
  return Batch.create({
    position,
    microBatch,
    samples: indices.length,
    slots: indices.map((_, slot) => slot),
    indices,
    labels: indices.map((index) => index % 3),
    crc32c: crc32c(pixels),
    pixels,
  });
}

/** Breaks at `brokenAt`, with a status that another try would meet again. */
async function startDataShard(brokenAt: number): Promise<string> {
  const batches = streamMethod<BatchesRequest, Batch>(async function* (request) {
    for (let position = request.firstPosition; position < request.endPosition; position++) {
      if (position >= brokenAt) throw new RpcError(Status.INTERNAL, "The decoder crashed.");
      for (const [index, first] of request.runFirst.entries()) {
        const end = Math.min(request.runEnd[index] as number, locate(timetable, position).microBatches);
        for (let microBatch = first; microBatch < end; microBatch++) yield batchOf(position, microBatch);
      }
    }
  });
  const server = await startServer({ services: [{ definition: dataService, implementation: { batches } }] });
  servers.push(server);
  return server.address;
}

interface Outcome {
  readonly digest: string;
  /** Of each worker, by position. */
  readonly records: readonly (readonly PositionRecord[])[];
  readonly chains: ReadonlySet<bigint>;
  readonly artifacts: readonly string[];
  readonly failures: readonly Failed[];
  readonly endings: readonly string[];
}

/** Runs a job on so many workers. One that fails is frozen, and what it holds is published. */
async function run(workers: number, { brokenAt = Infinity } = {}): Promise<Outcome> {
  const shard = await startDataShard(brokenAt);
  let ballot = { incarnation: 1, counter: 1 };
  let last = 2 * (3 + 1) + 1;
  const failures: Failed[] = [];
  const attached: { worker: string; address: string; send: (order: WorkerOrder) => Promise<void> }[] = [];
  const records = new Map<string, PositionRecord[]>();
  const held = new Map<string, bigint>();
  const artifacts: string[] = [];
  let frozen = 0;
  let digest = "";

  const planOf = (end: Plan["end"]): Plan => {
    const runs = dealRuns(timetable.microBatches, workers);
    const members = attached.map(({ worker, address }, rank) => {
      const run = runs.slice(rank, rank + 1);
      return { worker, address, runsAtFirst: run, runsLater: run, stateSource: "" };
    });
    const shards = { version: 1, blockSamples: 64, addresses: [shard], ownersPerBlock: 1, owners: [0] };
    return makePlan({ job, ballot, members, firstPosition: 1 + (end?.position ?? 0), end, shards });
  };
  const tellAll = async (order: NonNullable<WorkerOrder["order"]>) => {
    for (const each of attached) await each.send({ order });
  };

  const attachWorker = duplexMethod<WorkerMessage, WorkerOrder>(async (messages, send) => {
    for await (const { message } of messages) {
      if (message?.$case === "hello") {
        attached.push({ worker: message.value.worker, address: message.value.address, send });
        records.set(message.value.worker, []);
        await send({ order: { $case: "assignment", value: assignment } });
        if (attached.length === workers) await tellAll({ $case: "freeze", value: { ballot } });
      } else if (message?.$case === "frozen") {
        assert.equal(message.value.hasState, true);
        if (++frozen < workers) continue;
        const why = failures[0]?.sentence;
        if (why !== undefined) last = message.value.position;
        await tellAll({ $case: "plan", value: planOf(why === undefined ? undefined : { position: last, why }) });
      } else if (message?.$case === "heartbeat") {
        const mine = attached.find((each) => each.send === send)?.worker as string;
        records.get(mine)?.push(...message.value.records);
        if (message.value.position !== last || held.has(mine)) continue;
        held.set(mine, message.value.chain);
        if (held.size < workers) continue;
        await attached[0]?.send({
          order: { $case: "publish", value: { ballot, position: last, what: "final" } },
        });
      } else if (message?.$case === "published") {
        const address = attached[0]?.address ?? "";
        for (const { name, bytes, sha256: expected } of message.value.artifacts) {
          const file = await pull(address, (client, options) =>
            client.artifact(ArtifactRequest.create({ job, name }), options),
          );
          assert.equal(file.length, bytes);
          assert.equal(sha256([file]), expected);
          artifacts.push(name);
        }
        const packed = await pull(address, (client, options) =>
          client.state(StateRequest.create({ job, ballot, position: last }), options),
        );
        const { layout, spec: parsed } = prepareJob(assignment);
        digest = parametersSha256(unpackState(packed, layout, parsed.optimizer, "the writer"));
        await tellAll({ $case: "done", value: { why: "the test is over" } });
      } else if (message?.$case === "failed") {
        failures.push(message.value);
        ballot = { incarnation: 1, counter: 2 };
        frozen = 0;
        await tellAll({ $case: "freeze", value: { ballot } });
      }
    }
  });
  const unused = () => undefined;
  const implementation = { attachWorker, attachShard: unused, manifest: unused };
  const server = await startServer({ services: [{ definition: membershipService, implementation }] });
  servers.push(server);

  const endings = await Promise.all(
    Array.from({ length: workers }, () =>
      new Worker({
        coordinator: server.address,
        job,
        listen: "127.0.0.1:0",
        advertise: undefined,
        token: undefined,
        build: "0.0.0-test",
        log,
      }).run(),
    ),
  );
  return { digest, records: [...records.values()], chains: new Set(held.values()), artifacts, failures, endings };
}

type Opened = Parameters<typeof readStream<Frame>>[0];

async function pull(
  address: string,
  open: (client: PeerServiceClient, options: Parameters<Opened>[0]) => ReturnType<Opened>,
): Promise<Buffer> {
  const client = openClient(PeerServiceClient, address);
  const pieces: Uint8Array[] = [];
  for await (const frame of readStream((options) => open(client, options), { what: "the writer" })) {
    assert.equal(crc32c(frame.payload), frame.crc32c);
    pieces.push(frame.payload);
  }
  client.close();
  return Buffer.concat(pieces);
}

describe("workers", () => {
  test("1, 2, 3 and 4 of them hold the same weights, chain and records in the end", async () => {
    const alone = await run(1);
    assert.deepEqual([alone.failures, alone.endings], [[], ["done"]]);
    assert.match(alone.digest, /^[0-9a-f]{64}$/);
    assert.deepEqual(alone.artifacts, ["model.onnx", "checkpoint.safetensors", "checkpoint.json"]);
    const [expected = []] = alone.records;
    assert.deepEqual(
      expected.map((record) => record.position),
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.deepEqual(
      expected.map((record) => record.samples),
      [20, 20, 8, 7, 20, 20, 8, 7, 4],
    );
    assert.ok((expected[6]?.loss ?? 0n) < (expected[2]?.loss ?? 0n), "the loss of the same 8 samples fell");
    for (const workers of [2, 3, 4]) {
      const outcome = await run(workers);
      assert.equal(outcome.digest, alone.digest, `${workers} workers`);
      assert.deepEqual(outcome.chains, alone.chains);
      assert.deepEqual([...outcome.failures, ...new Set(outcome.endings)], ["done"]);
      for (const records of outcome.records) assert.deepEqual(records.map(withoutTimes), expected.map(withoutTimes));
    }
  });

  test("a lone one that meets an error which is not the job's fault keeps its state and publishes it", async () => {
    const { failures, endings, artifacts, digest, records } = await run(1, { brokenAt: 6 });
    assert.deepEqual(
      failures.map(({ sentence, jobFault }) => [/The decoder crashed/.test(sentence), jobFault]),
      [[true, false]],
    );
    assert.deepEqual(artifacts, ["model.onnx", "checkpoint.safetensors", "checkpoint.json"]);
    assert.equal(records[0]?.at(-1)?.position, 5);
    assert.match(digest, /^[0-9a-f]{64}$/);
    assert.deepEqual(endings, ["failed"]);
  });
});

function withoutTimes(record: PositionRecord): Omit<PositionRecord, "phaseMs"> {
  const { phaseMs: _, ...rest } = record;
  return rest;
}
