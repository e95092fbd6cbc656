/**
 * The control stream of a worker or data-shard to the coordinator, for the life of the process. When it breaks, work goes
 * on and the process attaches again, later and later. Three kinds of end:
 *
 *   UNAVAILABLE                 nobody there, or the stream broke: tried for ever, the coordinator may come back
 *   a refusal, an InputError    another try is of no use: ends at once
 *   any other status            a few tries in a row without an order between them, then it ends with that sentence
 */
import type { CallOptions, ClientDuplexStream } from "@grpc/grpc-js";
import { setTimeout as delay } from "node:timers/promises";
import { readStream } from "./call.js";
import { RpcError, Status } from "./status.js";

export interface AttachedStreamOptions<Message, Order> {
  /** Opens a stream: `(options) => client.attachWorker(options)`. */
  open(
    options: Partial<CallOptions>,
  ): ClientDuplexStream<{ message: Message | undefined }, { order: Order | undefined }>;
  /** A stream is open; the first message sent must be Hello. */
  connected(): void;
  /** The stream broke; another try follows. */
  disconnected?(): void;
  /** The message of a heartbeat. */
  heartbeat(): Message;
  order(order: Order): void;
  /** Why the stream broke and when the next try is. */
  warn(sentence: string): void;
  /** Wait between two tries, in milliseconds: doubles from the least to the most. Default 100 to 2,000. */
  readonly waitMs?: { readonly least: number; readonly most: number };
}

/** Answers after which another try is of no use. */
const refusals: readonly Status[] = [
  Status.FAILED_PRECONDITION,
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.UNIMPLEMENTED,
];
/** Tries in a row, without an order, that may fail otherwise than by UNAVAILABLE. */
const failuresMax = 5;
const defaultWaitMs = { least: 100, most: 2_000 };
const what = "The coordinator";

export class AttachedStream<Message, Order> {
  readonly #options: AttachedStreamOptions<Message, Order>;
  readonly #closing = new AbortController();
  #stream: ReturnType<AttachedStreamOptions<Message, Order>["open"]> | undefined;
  #heart: NodeJS.Timeout | undefined;
  /** Since the last order. */
  #tries = 0;
  #failures = 0;
  /** This side cut the stream in order to attach again. */
  #cutHere = false;

  constructor(options: AttachedStreamOptions<Message, Order>) {
    this.#options = options;
  }

  /**
   * Attaches, and again after each loss, until closed.
   * @throws RpcError or InputError when the coordinator refuses this process or fails again and again; what `order` throws
   */
  async run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const error = await this.#attach();
      if (signal.aborted) return;
      if (!this.#mayTryAgain(error)) throw error;
      this.#options.disconnected?.();
      const { least, most } = this.#options.waitMs ?? defaultWaitMs;
      const longest = Math.min(most, least * 2 ** this.#tries++);
      const wait = longest * (0.5 + 0.5 * Math.random()); // all processes lose a coordinator at the same moment: spread out
      this.#options.warn(`${error.message} Attaching again in ${Math.round(wait)} ms.`);
      await delay(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Dropped while there is no stream: what matters is said again by the next Hello. */
  send(message: Message): void {
    this.#stream?.write({ message });
  }

  /** Ends the present stream and opens another. */
  reattach(): void {
    if (this.#stream === undefined) return;
    this.#cutHere = true;
    this.#stream.cancel();
  }

  /** Sends a heartbeat now, and at this interval from now on. */
  beatEvery(milliseconds: number): void {
    clearInterval(this.#heart);
    this.#heart = setInterval(() => this.beat(), milliseconds);
    this.beat();
  }

  /** Sends a heartbeat now. */
  beat(): void {
    if (this.#stream !== undefined) this.send(this.#options.heartbeat());
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

  /** One stream, from Hello to its end; gives what ended it. */
  async #attach(): Promise<Error> {
    this.#cutHere = false;
    try {
      const orders = readStream((options) => (this.#stream = this.#options.open(options)), {
        what,
        signal: this.#closing.signal,
      });
      const first = orders.next(); // opens the stream
      this.#options.connected();
      for (let next = await first; next.done !== true; next = await orders.next()) {
        this.#tries = 0;
        this.#failures = 0;
        if (next.value.order !== undefined) this.#options.order(next.value.order);
      }
      return new RpcError(Status.UNAVAILABLE, `${what} ended the control stream.`);
    } catch (thrown) {
      return thrown instanceof Error ? thrown : new Error(String(thrown));
    } finally {
      this.#stream = undefined;
    }
  }

  #mayTryAgain(error: Error): error is RpcError {
    if (!(error instanceof RpcError) || refusals.includes(error.code)) return false;
    if (error.code === Status.UNAVAILABLE || this.#cutHere) return true;
    return ++this.#failures < failuresMax;
  }
}
