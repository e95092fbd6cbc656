// The data-shards of one job: who has attached, what the training pixels measure, who serves what.

import type { ShardMap as SampleMap } from "@lockstep/dataset";
import type { ShardMap } from "@lockstep/protocol";
import { type Measured, RpcError, type ShardMessage, type ShardOrder, Status } from "@lockstep/rpc";

type Order = NonNullable<ShardOrder["order"]>;

interface Shard {
  readonly id: string;
  readonly address: string;
  readonly processId: number;
  readonly decoderIdentity: string;
  readonly send: (order: ShardOrder) => Promise<void>;
  ready: boolean;
  measured: Measured | undefined;
}

export interface DataShardsOptions {
  readonly count: number;
  readonly strict: boolean;
  readonly assignment: Extract<Order, { $case: "assignment" }>["value"];
  /** A data-shard says that it, or the job, cannot go on. */
  failed(sentence: string): void;
}

export class DataShards {
  readonly #options: DataShardsOptions;
  /** In order of attachment: the order of shard indices. */
  readonly #shards: Shard[] = [];
  #changed: () => void = () => undefined;

  constructor(options: DataShardsOptions) {
    this.#options = options;
  }

  /** One data-shard's stream, until it ends. */
  async serve(
    messages: AsyncIterable<ShardMessage>,
    send: (order: ShardOrder) => Promise<void>,
    first: Extract<NonNullable<ShardMessage["message"]>, { $case: "hello" }>["value"],
  ): Promise<void> {
    const shard = this.#admit(first, send);
    await send({ order: { $case: "assignment", value: this.#options.assignment } });
    for await (const { message } of messages) {
      if (message?.$case === "ready") shard.ready = true;
      if (message?.$case === "measured") shard.measured = message.value;
      if (message?.$case === "failed") this.#options.failed(message.value.sentence);
      this.#changed();
    }
  }

  get processIds(): number[] {
    return this.#shards.map((shard) => shard.processId);
  }

  /** Resolves when all have loaded the manifest. */
  async ready(signal: AbortSignal): Promise<void> {
    await this.#until(
      () => this.#shards.length === this.#options.count && this.#shards.every((each) => each.ready),
      signal,
    );
  }

  /** Sums over all training samples, each data-shard a contiguous part of them. */
  async measure(trainSamples: number, signal: AbortSignal): Promise<Measured[]> {
    const { length } = this.#shards;
    for (const [k, shard] of this.#shards.entries()) {
      const [first, end] = [k, k + 1].map((part) => Math.floor((trainSamples * part) / length)) as [number, number];
      await shard.send({ order: { $case: "measure", value: { first, end } } });
    }
    await this.#until(() => this.#shards.every((each) => each.measured !== undefined), signal);
    return this.#shards.flatMap((each) => (each.measured === undefined ? [] : [each.measured]));
  }

  /** The shard map as plans carry it, told to every data-shard. */
  async announce(map: SampleMap): Promise<ShardMap> {
    const { version, blockSamples, ownersPerBlock, owners } = map;
    const addresses = this.#shards.map((shard) => shard.address);
    const shards: ShardMap = { version, blockSamples, addresses, ownersPerBlock, owners: [...owners] };
    for (const shard of this.#shards) await shard.send({ order: { $case: "shards", value: shards } });
    return shards;
  }

  /** The job is closed. */
  async dismiss(why: string): Promise<void> {
    await Promise.allSettled(this.#shards.map((shard) => shard.send({ order: { $case: "done", value: { why } } })));
  }

  #admit(
    hello: { shard: string; address: string; processId: number; decoderIdentity: string },
    send: Shard["send"],
  ): Shard {
    const like = this.#shards[0];
    if (this.#shards.length >= this.#options.count)
      throw new RpcError(Status.FAILED_PRECONDITION, `The job has its ${this.#options.count} data-shards already.`);
    if (this.#options.strict && like !== undefined && like.decoderIdentity !== hello.decoderIdentity)
      throw new RpcError(
        Status.FAILED_PRECONDITION,
        `This data-shard decodes with ${hello.decoderIdentity}, the job with ${like.decoderIdentity}; ` +
          "use the same build, or say determinism: relaxed in the spec.",
      );
    const { shard: id, address, processId, decoderIdentity } = hello;
    const shard: Shard = { id, address, processId, decoderIdentity, send, ready: false, measured: undefined };
    this.#shards.push(shard);
    return shard;
  }

  async #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#changed();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!holds()) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => (this.#changed = resolve));
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
    signal.throwIfAborted();
  }
}
