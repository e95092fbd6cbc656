/**
 * The control stream to the coordinator, for the life of the worker. When it breaks, training goes on and the worker attaches
 * again, later and later; only a refusal ends it.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type Heartbeat,
  MembershipServiceClient,
  openClient,
  readStream,
  RpcError,
  Status,
  type WorkerMessage,
  type WorkerOrder,
} from "@lockstep/rpc";
import type { Log } from "@lockstep/telemetry";

export type Message = NonNullable<WorkerMessage["message"]>;
export type Order = NonNullable<WorkerOrder["order"]>;

export interface ControlOptions {
  /** host:port of the coordinator. */
  readonly coordinator: string;
  readonly token: string | undefined;
  /** A stream is open; its first message must be Hello. */
  connected(): void;
  /** The stream broke; another try follows. */
  disconnected(): void;
  heartbeat(): Heartbeat;
  order(order: Order): void;
  readonly log: Log;
}

/** Longest wait between two tries to attach, in milliseconds. */
const waitMsMax = 2_000;
const waitMsMin = 100;
/** Answers after which another try is of no use. */
const refusals: readonly Status[] = [
  Status.FAILED_PRECONDITION,
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.UNIMPLEMENTED,
];

export class Control {
  readonly #options: ControlOptions;
  readonly #client: MembershipServiceClient;
  readonly #closing = new AbortController();
  #stream: ReturnType<MembershipServiceClient["attachWorker"]> | undefined;
  #attempt = 0;
  #heart: NodeJS.Timeout | undefined;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#client = openClient(MembershipServiceClient, options.coordinator, { token: options.token });
  }

  /**
   * Attaches, and again after each loss, until closed.
   * @throws RpcError or InputError when the coordinator refuses this worker
   */
  async run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const error = await this.#attach();
      if (this.#closing.signal.aborted) return;
      if (!(error instanceof RpcError) || refusals.includes(error.code)) throw error;
      this.#options.disconnected();
      const longest = Math.min(waitMsMax, waitMsMin * 2 ** this.#attempt++);
      const wait = longest * (0.5 + 0.5 * Math.random()); // all workers lose a coordinator at the same moment: spread out
      this.#options.log.warn(`${error.message} Attaching again in ${Math.round(wait)} ms.`);
      await delay(wait, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  /** Dropped while there is no stream: what matters is said again by the next Hello. */
  send(message: Message): void {
    this.#stream?.write({ message });
  }

  /** Ends the present stream and opens another. */
  reattach(): void {
    this.#stream?.cancel();
  }

  /** Sends a heartbeat now, and at this interval from now on. */
  beatEvery(milliseconds: number): void {
    clearInterval(this.#heart);
    this.#heart = setInterval(() => this.beat(), milliseconds);
    this.beat();
  }

  /** Sends a heartbeat now. */
  beat(): void {
    if (this.#stream !== undefined) this.send({ $case: "heartbeat", value: this.#options.heartbeat() });
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
    this.#client.close();
  }

  /** One stream, from Hello to its end; gives what ended it. */
  async #attach(): Promise<Error> {
    const what = "The coordinator";
    try {
      const open = (options: object) => (this.#stream = this.#client.attachWorker(options));
      const orders = readStream<WorkerOrder>(open, { what, signal: this.#closing.signal });
      const first = orders.next(); // opens the stream
      this.#options.connected();
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
