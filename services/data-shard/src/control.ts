/**
 * The control stream to the coordinator, for the life of the data-shard. When it breaks, serving goes on and the data-shard
 * attaches again, later and later; only a refusal ends it.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type MembershipServiceClient,
  readStream,
  RpcError,
  type ShardHeartbeat,
  type ShardHello,
  type ShardMessage,
  type ShardOrder,
  Status,
} from "@lockstep/rpc";
import type { Log } from "@lockstep/telemetry";

export type Message = NonNullable<ShardMessage["message"]>;
export type Order = NonNullable<ShardOrder["order"]>;

export interface ControlOptions {
  readonly client: MembershipServiceClient;
  /** What each stream begins with. */
  readonly hello: ShardHello;
  heartbeat(): ShardHeartbeat;
  order(order: Order): void;
  readonly log: Log;
}

/** Wait between two tries to attach, in milliseconds: doubles from the least to the most. */
const waitMsMin = 100;
const waitMsMax = 2_000;

/** After these another try may succeed; any other answer is a refusal. */
const passing: readonly Status[] = [Status.UNAVAILABLE, Status.CANCELLED, Status.INTERNAL, Status.UNKNOWN];

export class Control {
  readonly #options: ControlOptions;
  readonly #closing = new AbortController();
  #stream: ReturnType<MembershipServiceClient["attachShard"]> | undefined;
  #heart: NodeJS.Timeout | undefined;
  #attempt = 0;

  constructor(options: ControlOptions) {
    this.#options = options;
  }

  /**
   * Attaches, and again after each loss, until closed.
   * @throws RpcError or InputError when the coordinator refuses this data-shard
   */
  async run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const error = await this.#attach();
      if (signal.aborted) return;
      if (!(error instanceof RpcError) || !passing.includes(error.code)) throw error;
      const longest = Math.min(waitMsMax, waitMsMin * 2 ** this.#attempt++);
      const wait = longest * (0.5 + 0.5 * Math.random()); // all processes lose a coordinator at the same moment: spread out
      this.#options.log.warn(`${error.message} Attaching again in ${Math.round(wait)} ms.`);
      await delay(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Dropped while there is no stream. */
  send(message: Message): void {
    this.#stream?.write({ message });
  }

  beatEvery(milliseconds: number): void {
    clearInterval(this.#heart);
    this.#heart = setInterval(
      () => this.send({ $case: "heartbeat", value: this.#options.heartbeat() }),
      Math.max(1, milliseconds),
    );
  }

  /** Ends the stream once everything written has left and the coordinator has ended its side, or after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#heart);
    const stream = this.#stream;
    if (stream !== undefined) {
      const ended = new Promise<void>((resolve) => stream.once("close", resolve).once("end", resolve));
      stream.end();
      await Promise.race([ended, delay(graceMs, undefined, { ref: false })]);
    }
    this.#closing.abort();
  }

  /** One stream, from ShardHello to its end; gives what ended it. */
  async #attach(): Promise<Error> {
    const what = "The coordinator";
    try {
      const open = (options: object) => (this.#stream = this.#options.client.attachShard(options));
      const orders = readStream<ShardOrder>(open, { what, signal: this.#closing.signal });
      const first = orders.next(); // opens the stream
      this.send({ $case: "hello", value: this.#options.hello });
      for (let next = await first; next.done !== true; next = await orders.next()) {
        this.#attempt = 0;
        if (next.value.order !== undefined) this.#options.order(next.value.order);
      }
      return new RpcError(Status.UNAVAILABLE, `${what} ended the control stream.`);
    } catch (thrown) {
      return thrown instanceof Error ? thrown : new Error(String(thrown));
    } finally {
      this.#stream = undefined;
    }
  }
}
