/** One data-shard from start to Done: attaches, loads the manifest, serves, and does what the coordinator orders. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { decodeManifest, type DatasetManifest } from "@lockstep/dataset";
import { pixelIdentity } from "@lockstep/dataset/pixels";
import {
  advertisedAddress,
  type Batch,
  type BatchesRequest,
  type CallContext,
  dataService,
  type Measure,
  MembershipServiceClient,
  openClient,
  readStream,
  RpcError,
  type RunningServer,
  type ShardAssignment,
  type ShardMap,
  startServer,
  Status,
  streamMethod,
} from "@lockstep/rpc";
import type { ResolvedJobSpec } from "@lockstep/spec";
import type { Log } from "@lockstep/telemetry";
import { type Control, openControl, type Order } from "./control.js";
import { DataService } from "./data-service.js";
import { FileWatch } from "./file-watch.js";

export interface ShardOptions {
  /** host:port. */
  readonly coordinator: string;
  readonly job: string;
  readonly listen: string;
  /** What workers are told instead of the listener's address; port 0 stands for the listener's. */
  readonly advertise: string | undefined;
  readonly token: string | undefined;
  /** Lockstep's version. */
  readonly build: string;
  readonly log: Log;
}

/** How long calls may take to end when the job is over, in milliseconds. */
const graceMs = 1_000;

export class Shard {
  readonly #options: ShardOptions;
  readonly #client: MembershipServiceClient;
  readonly #ended = new AbortController();
  #control: Control | undefined;
  #service: DataService | undefined;
  /** Came before the manifest was loaded. */
  #map: ShardMap | undefined;
  readonly #fileWatch: FileWatch;

  constructor(options: ShardOptions) {
    this.#options = options;
    this.#client = openClient(MembershipServiceClient, options.coordinator, { token: options.token });
    this.#fileWatch = new FileWatch(() => this.#service?.checkFiles());
  }

  /**
   * Resolves when the coordinator says that the job is done, or after `stop`.
   * @throws InputError or RpcError when it cannot listen or the coordinator refuses it
   */
  async run(): Promise<void> {
    const server = await this.#listen();
    const { advertise, job, build, log } = this.#options;
    const address = advertisedAddress(advertise, server.address);
    this.#control = openControl({
      client: this.#client,
      hello: {
        shard: randomUUID(),
        job,
        address,
        decoderIdentity: pixelIdentity,
        build,
        processId: process.pid,
      },
      heartbeat: () => this.#heartbeat(),
      order: (order) => void this.#obey(order).catch((thrown: unknown) => this.#fail(thrown)),
      log,
    });
    log.info(`listening on ${server.address}`, { job, decoder: pixelIdentity });
    try {
      await Promise.race([this.#control.run(), once(this.#ended.signal, "abort")]);
    } finally {
      this.#fileWatch.stop();
      await this.#control.close(graceMs);
      this.#service?.close();
      await server.stop(graceMs);
      this.#client.close();
    }
  }

  stop(): void {
    this.#ended.abort();
  }

  #listen(): Promise<RunningServer> {
    const { listen, token } = this.#options;
    const batches = streamMethod<BatchesRequest, Batch>((request, context) => this.#batches(request, context));
    return startServer({ services: [{ definition: dataService, implementation: { batches } }], listen, token });
  }

  #batches(request: BatchesRequest, context: CallContext): AsyncIterable<Batch> {
    if (this.#service === undefined) throw new RpcError(Status.UNAVAILABLE, "This data-shard is still loading.");
    return this.#service.batches(request, context);
  }

  async #obey(order: Order): Promise<void> {
    switch (order.$case) {
      case "assignment":
        return this.#begin(order.value);
      case "measure":
        return this.#measure(order.value);
      case "shards":
        this.#map = order.value;
        return this.#service?.useMap(order.value);
      case "done":
        this.#options.log.info(`done: ${order.value.why}`);
        return this.#ended.abort();
      default:
        order satisfies never;
    }
  }

  /** After a re-attach the coordinator assigns again: the same dataset is not loaded twice. */
  async #begin(assignment: ShardAssignment): Promise<void> {
    this.#control?.beatEvery(assignment.heartbeatMs);
    if (this.#service?.datasetDigest !== assignment.datasetDigest || this.#service.job !== assignment.job) {
      this.#service?.close();
      this.#service = await this.#load(assignment);
      if (this.#map !== undefined) this.#service.useMap(this.#map);
    }
    this.#control?.send({ $case: "ready", value: {} });
  }

  async #load(assignment: ShardAssignment): Promise<DataService> {
    const { job, datasetDigest, cacheBytesMax } = assignment;
    const manifest = await this.#fetchManifest(job);
    if (manifest.digest !== datasetDigest) {
      throw new Error(`The manifest of ${job} has the digest ${manifest.digest}, not ${datasetDigest}.`);
    }
    const { log } = this.#options;
    const decodeThreads = assignment.decodeThreads > 0 ? assignment.decodeThreads : availableParallelism();
    log.info(`serving ${manifest.root}`, { samples: manifest.labels.length, decodeThreads, cacheBytesMax });
    return new DataService({
      job,
      manifest,
      decodeThreads,
      cacheBytesMax,
      spec: JSON.parse(assignment.specJson) as ResolvedJobSpec,
      onFault: (error) => this.#fail(error, true),
    });
  }

  async #fetchManifest(job: string): Promise<DatasetManifest> {
    const pieces: Uint8Array[] = [];
    const stream = readStream((options) => this.#client.manifest({ job }, options), {
      what: "Manifest of the dataset",
    });
    for await (const piece of stream) pieces.push(piece.bytes);
    return decodeManifest(Buffer.concat(pieces));
  }

  async #measure({ first, end }: Measure): Promise<void> {
    if (this.#service === undefined) throw new Error("Measure came before this data-shard was ready.");
    const { pixels, sums, squares } = await this.#service.measure(first, end);
    this.#control?.send({ $case: "measured", value: { pixels, sums: [...sums], squares: [...squares] } });
  }

  #heartbeat() {
    const { samplesDecoded, samplesServed, cacheBytes, hits, misses } = this.#service?.statistics() ?? nothingServed;
    return {
      progress: samplesDecoded + samplesServed,
      samplesServed,
      cacheBytes,
      cacheHits: hits,
      cacheMisses: misses,
    };
  }

  /** Told to the coordinator, which ends the job or this data-shard; until then the service answers as before. */
  #fail(thrown: unknown, jobFault = false): void {
    const sentence = thrown instanceof Error ? thrown.message : String(thrown);
    this.#options.log.error(sentence);
    this.#control?.send({ $case: "failed", value: { sentence, jobFault } });
  }
}

const nothingServed = { samplesDecoded: 0, samplesServed: 0, cacheBytes: 0, hits: 0, misses: 0 } as const;
