/** The data-shards of one job: who has attached, what the training pixels measure, who serves what. */
import type { ShardMap as SampleMap } from "@lockstep/dataset";
import type { ShardMap } from "@lockstep/protocol";
import {
  type Measure,
  type Measured,
  RpcError,
  type ShardAssignment,
  type ShardHello,
  type ShardMessage,
  type ShardOrder,
  Status,
} from "@lockstep/rpc";

type Send = (order: ShardOrder) => Promise<void>;

interface Shard {
  readonly id: string;
  /** For people: "data-shard-2". */
  readonly name: string;
  /** Place among the shard indices. */
  readonly order: number;
  readonly address: string;
  /** Of its present stream. */
  send: Send;
  heardMs: number;
  ready: boolean;
  /** Asked for and not answered yet. */
  measuring: Measure | undefined;
  /** Samples decoded and served, as it last said, and when that last grew. */
  progress: number;
  progressMs: number;
  measured: Measured | undefined;
}

export interface DataShardsOptions {
  readonly count: number;
  /** Data-shards of another decoder identity are refused. */
  readonly strict: boolean;
  readonly assignment: ShardAssignment;
  /** Silence for so long counts as failure. */
  readonly silenceMs: number;
  /** So long without a further sample while pixels are measured counts as failure. */
  readonly measureMs: number;
  /** Milliseconds of a steady clock. */
  now(): number;
  /** The process as the launcher started it, "data-shard-2" and its number among them; undefined: started elsewhere. */
  processOf(processId: number): { readonly name: string; readonly order: number } | undefined;
  /** A data-shard, or the job, cannot go on. */
  failed(sentence: string): void;
}

export class DataShards {
  readonly #options: DataShardsOptions;
  readonly #shards = new Map<string, Shard>();
  #map: ShardMap | undefined;
  /** Decoder and build of the first data-shard: the others' too. */
  #identity: string | undefined;
  #changed: () => void = () => undefined;

  constructor(options: DataShardsOptions) {
    this.#options = options;
  }

  /** One data-shard's stream, until it ends. A data-shard whose stream broke comes back with another. */
  async serve(messages: AsyncIterable<ShardMessage>, send: Send, hello: ShardHello): Promise<void> {
    const shard = this.#admit(hello, send);
    await send({ order: { $case: "assignment", value: this.#options.assignment } });
    if (this.#map !== undefined) await send({ order: { $case: "shards", value: this.#map } });
    for await (const { message } of messages) {
      shard.heardMs = this.#options.now();
      if (message !== undefined) this.#hear(shard, message);
      this.#changed();
    }
  }

  /** Resolves when all have loaded the manifest. */
  async ready(signal: AbortSignal): Promise<void> {
    const { count } = this.#options;
    await this.#until(() => this.#shards.size === count && this.#inOrder().every((each) => each.ready), signal);
  }

  /** Sums over all training samples, each data-shard a contiguous part of them. */
  async measure(trainSamples: number, signal: AbortSignal): Promise<Measured[]> {
    const shards = this.#inOrder();
    for (const [k, shard] of shards.entries()) {
      const boundary = (part: number) => Math.floor((trainSamples * part) / shards.length);
      shard.measuring = { first: boundary(k), end: boundary(k + 1) };
      shard.progressMs = this.#options.now();
      this.#send(shard, { order: { $case: "measure", value: shard.measuring } });
    }
    await this.#until(() => shards.every((each) => each.measured !== undefined), signal);
    return shards.flatMap((each) => (each.measured === undefined ? [] : [each.measured]));
  }

  /** The shard map as plans carry it, told to every data-shard. */
  announce(map: SampleMap): ShardMap {
    const { version, blockSamples, ownersPerBlock, owners } = map;
    const shards = this.#inOrder();
    const addresses = shards.map((shard) => shard.address);
    this.#map = { version, blockSamples, addresses, ownersPerBlock, owners: [...owners] };
    for (const shard of shards) this.#send(shard, { order: { $case: "shards", value: this.#map } });
    return this.#map;
  }

  /** A process that is alive and says nothing, or reads from a disk that hangs, would let the job wait for ever. */
  tick(): void {
    const options = this.#options;
    for (const shard of this.#shards.values()) {
      const silentMs = options.now() - shard.heardMs;
      if (silentMs >= options.silenceMs)
        options.failed(`${shard.name} has been silent for ${Math.round(silentMs / 1000)} s`);
      const stuckMs = options.now() - shard.progressMs;
      if (shard.measuring !== undefined && stuckMs >= options.measureMs)
        options.failed(`${shard.name} has not decoded a further image for ${Math.round(stuckMs / 1000)} s`);
    }
  }

  /** The job is closed. */
  dismiss(why: string): void {
    for (const shard of this.#shards.values()) this.#send(shard, { order: { $case: "done", value: { why } } });
  }

  #admit(hello: ShardHello, send: Send): Shard {
    const again = this.#shards.get(hello.shard);
    if (again !== undefined) {
      again.send = send;
      return again;
    }
    const { count, strict } = this.#options;
    const refuse = (sentence: string) => new RpcError(Status.FAILED_PRECONDITION, sentence);
    if (this.#shards.size >= count) throw refuse(`The job has its ${count} data-shards already.`);
    const identity = `${hello.decoderIdentity}, Lockstep ${hello.build}`;
    if (strict && this.#identity !== undefined && this.#identity !== identity) {
      throw refuse(
        `This data-shard decodes with ${identity}, the job with ${this.#identity}; ` +
          "use the same build, or say determinism: relaxed in the spec.",
      );
    }
    this.#identity ??= identity;
    const { shard: id, address, processId } = hello;
    const { name, order } = this.#options.processOf(processId) ?? {
      name: `data-shard ${id.slice(0, 8)}`,
      order: count,
    };
    const now = this.#options.now();
    const state = { ready: false, measuring: undefined, measured: undefined, progress: 0 };
    const shard: Shard = { id, name, order, address, send, heardMs: now, progressMs: now, ...state };
    this.#shards.set(id, shard);
    return shard;
  }

  #hear(shard: Shard, message: NonNullable<ShardMessage["message"]>): void {
    switch (message.$case) {
      case "heartbeat":
        if (message.value.progress === shard.progress) return;
        shard.progress = message.value.progress;
        shard.progressMs = this.#options.now();
        return;
      case "ready":
        shard.ready = true;
        if (shard.measuring !== undefined) this.#send(shard, { order: { $case: "measure", value: shard.measuring } });
        return;
      case "measured":
        shard.measured = message.value;
        shard.measuring = undefined;
        return;
      case "failed": {
        const { sentence, jobFault } = message.value;
        return this.#options.failed(jobFault ? sentence : `${shard.name}: ${sentence}`);
      }
      case "hello":
        throw new RpcError(Status.INVALID_ARGUMENT, "A data-shard says Hello once a stream.");
    }
  }

  #inOrder(): Shard[] {
    return [...this.#shards.values()].sort((a, b) => a.order - b.order);
  }

  /** To a stream that has broken nothing is said: what matters is said again on the next one. */
  #send(shard: Shard, order: ShardOrder): void {
    shard.send(order).catch(() => undefined);
  }

  async #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    while (!holds()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#changed = wake;
        signal.addEventListener("abort", wake, { once: true });
      });
    }
    signal.throwIfAborted();
  }
}
