/**
 * What one data-shard sends to this worker in one generation: its part of each of the worker's micro-batches, in order.
 * Read ahead up to a bound in bytes, then left alone: gRPC's flow control makes the data-shard wait.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@lockstep/telemetry";
import {
  type Batch,
  type BatchesRequest,
  crc32c,
  DataServiceClient,
  openClient,
  readStream,
  RpcError,
  Status,
} from "@lockstep/rpc";
import { JobFault } from "./job-fault.js";

export interface ShardStreamOptions {
  /** host:port of the DataService. */
  readonly address: string;
  readonly token: string | undefined;
  /** Asked one after the other; each covers later positions than the one before. */
  readonly requests: readonly BatchesRequest[];
  /** What may wait here, in bytes: pixels, and 1 KiB a part, for a part may have none. One is always read, whatever its size. */
  readonly bytesAhead: number;
  readonly log: Log;
}

/** How long a data-shard may stay unavailable (still loading, or its stream broken) before it counts as lost, in ms. */
const unavailableMsMax = 10_000;
const waitMsMin = 20;
const waitMsMax = 1_000;

/** What a part costs beside its pixels. */
const partOverheadBytes = 1024;

/** A data-shard that has not come back. */
export class DataShardLost extends Error {
  override readonly name = "DataShardLost";
  readonly address: string;

  constructor(address: string, cause: Error) {
    super(cause.message, { cause });
    this.address = address;
  }
}

export class ShardStream {
  readonly #options: ShardStreamOptions;
  readonly #client: DataServiceClient;
  readonly #abort = new AbortController();
  readonly #parts: Batch[] = [];
  #bytes = 0;
  #ended: { readonly error: Error } | undefined;
  /** Resolves what waits for a part, or for room. */
  #arrived: (() => void) | undefined;
  #room: (() => void) | undefined;

  constructor(options: ShardStreamOptions) {
    this.#options = options;
    this.#client = openClient(DataServiceClient, options.address, { token: options.token });
    void this.#read();
  }

  /**
   * The next part.
   * @throws JobFault with the data-shard's sentence when it refuses (a file changed); DataShardLost when it cannot be reached
   */
  async next(): Promise<Batch> {
    while (this.#parts.length === 0) {
      if (this.#ended !== undefined) throw this.#ended.error;
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
    const part = this.#parts.shift() as Batch;
    this.#bytes -= part.pixels.length + partOverheadBytes;
    this.#room?.();
    return part;
  }

  close(): void {
    this.#end(new RpcError(Status.CANCELLED, "The generation is over."));
    this.#abort.abort();
    this.#client.close();
  }

  get #what(): string {
    return `The data-shard at ${this.#options.address}`;
  }

  async #read(): Promise<void> {
    try {
      for (const request of this.#options.requests) await this.#readAll(request);
      this.#end(new Error(`the data-shard at ${this.#options.address} was asked for more than this generation holds`));
    } catch (thrown) {
      this.#end(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  /** Everything of one request, over as many streams as it takes: a broken one is opened again where it stopped. */
  async #readAll(request: BatchesRequest): Promise<void> {
    let last: Batch | undefined;
    let waited = 0;
    let wait = waitMsMin;
    for (;;) {
      try {
        for await (const part of this.#open({ ...request, firstPosition: last?.position ?? request.firstPosition })) {
          if (last !== undefined && !isAfter(part, last)) continue; // seen before the stream broke
          await this.#add(part);
          last = part;
          [waited, wait] = [0, waitMsMin];
        }
        return;
      } catch (thrown) {
        if (thrown instanceof RpcError && thrown.code === Status.FAILED_PRECONDITION) {
          throw new JobFault(thrown.message.slice(`${this.#what}: `.length)); // the data-shard's own sentence
        }
        if (!(thrown instanceof RpcError) || thrown.code !== Status.UNAVAILABLE) throw thrown;
        if (waited >= unavailableMsMax) throw new DataShardLost(this.#options.address, thrown);
        if (waited === 0) this.#options.log.info(`${thrown.message} Asking again.`);
        await delay(wait, undefined, { signal: this.#abort.signal });
        waited += wait;
        wait = Math.min(wait * 2, waitMsMax);
      }
    }
  }

  #open(request: BatchesRequest): AsyncIterable<Batch> {
    const limits = { what: this.#what, signal: this.#abort.signal };
    return readStream((options) => this.#client.batches(request, options), limits);
  }

  async #add(part: Batch): Promise<void> {
    if (crc32c(part.pixels) !== part.crc32c) {
      const which = `position ${part.position}, micro-batch ${part.microBatch}`;
      throw new Error(`Pixels of ${which} arrived damaged from the data-shard at ${this.#options.address}.`);
    }
    this.#parts.push(part);
    this.#bytes += part.pixels.length + partOverheadBytes;
    this.#arrived?.();
    while (this.#bytes > this.#options.bytesAhead && this.#ended === undefined) {
      await new Promise<void>((resolve) => (this.#room = resolve));
    }
  }

  #end(error: Error): void {
    this.#ended ??= { error };
    this.#arrived?.();
    this.#room?.();
  }
}

function isAfter(part: Batch, last: Batch): boolean {
  return part.position > last.position || (part.position === last.position && part.microBatch > last.microBatch);
}
