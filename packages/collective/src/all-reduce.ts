/**
 * The exchange of gradients: every member gets the sum over all micro-batches of a position, the same bits on each,
 * whatever their number.
 *
 * The flat vector is cut into N segments; rank r sums segment r. Hop one: r pulls every peer's partials of segment r, and
 * sums them in tree order, piece by piece. Hop two: every rank pulls every reduced segment. A stream per pair and
 * direction stays open for the generation, and the sender pushes what it knows, so a hop costs no request.
 *
 *   Hops: 2. Bytes received per rank: 2 (N-1)/N x vector for one node per member (N a power of two), more otherwise:
 *   (nodes of others)/N + (N-1)/N. Memory: partials of two positions, two results, others' nodes of one segment.
 *   Vectors up to 64 KiB: 1 hop, (nodes of others) x vector, each member sums alone. N = 1: no socket.
 *
 * Retention (R9) without a message: a member that sends a partial of s+1 has applied s, so it has all that it needed of s.
 * When s+1 is reduced here, every member has sent one, so the vectors of s are free; those of s and s+1 stay.
 */
import { peerWaitMs, Wakeups, type Frame, type FrameSink } from "@lockstep/rpc";
import type { Generation } from "./generation.js";
import { framesFor } from "./outgoing-frames.js";
import { PartialSums } from "./partials.js";
import { PeerError, pullFrom } from "./peer-client.js";
import type { OutgoingStreams, PeerServer } from "./peer-server.js";
import { PositionExchange, type PositionShape } from "./position-exchange.js";
import { VectorPool } from "./vector-pool.js";

export interface CollectiveOptions {
  readonly generation: Generation;
  /** This member's rank; ranks are indices of `addresses`. */
  readonly rank: number;
  /** host:port of every member's PeerService, in rank order. */
  readonly addresses: readonly string[];
  /** The plan's first position. */
  readonly firstPosition: number;
  /** This member's listener; not needed when it is alone. */
  readonly server?: PeerServer;
  readonly token?: string | undefined;
  /** A peer that sends nothing for this long while its part is missing is silent. Default peerWaitMs. */
  readonly silenceMs?: number;
}

/** What a position reduced to. Valid until the position after next begins. */
export interface Reduced {
  readonly position: number;
  /** Root of the tree: sums over all micro-batches. */
  readonly sums: Float32Array;
  /** Sums mod 2^64. */
  readonly counts: BigUint64Array;
  /** M' of the position. */
  readonly microBatches: number;
}

interface OpenPosition {
  readonly exchange: PositionExchange;
  readonly partials: PartialSums;
}

export class Collective implements OutgoingStreams {
  readonly generation: Generation;
  readonly ranks: number;
  readonly #options: CollectiveOptions;
  readonly #pool = new VectorPool();
  /** The position being reduced and the one before it, whose frames a slow peer may still be pulling. */
  readonly #positions = new Map<number, OpenPosition>();
  /** Woken when a position begins, and when its partials are known. */
  readonly #progress = new Wakeups();
  readonly #close = new AbortController();
  /** Peers that are lost, by rank. */
  readonly #faults = new Map<number, PeerError>();
  #nextPosition: number;
  #oldestHeld = 0;
  #current: OpenPosition | undefined;
  #closed: Error | undefined;
  readonly #silenceTimer: NodeJS.Timeout | undefined;
  #framesTaken = 0;
  /** framesTaken when silence was last looked for during this wait. */
  #framesSeen: number | undefined;

  /** Starts pulling from every peer, and serves them through `server`. */
  constructor(options: CollectiveOptions) {
    this.#options = options;
    this.generation = options.generation;
    this.ranks = options.addresses.length;
    this.#nextPosition = options.firstPosition;
    if (this.ranks === 1) return;
    if (options.server === undefined) throw new Error("a collective of more than one member needs its PeerServer");
    options.server.offer(this);
    const silenceMs = options.silenceMs ?? peerWaitMs;
    this.#silenceTimer = setInterval(() => this.#checkSilence(silenceMs), silenceMs).unref();
    for (const [rank, address] of options.addresses.entries()) {
      if (rank !== options.rank) void this.#pull({ rank, address });
    }
  }

  /** Bytes of vectors allocated so far; flat after the first positions. */
  get allocatedBytes(): number {
    return this.#pool.allocatedBytes;
  }

  /**
   * Begins a position, in order: frames of it are taken from here on. Fill what is returned and give it to allReduce. To
   * be called only when the position before it has been applied (R2).
   * @throws Error when the position is not the next one, or the runs do not tile its micro-batches.
   */
  begin(shape: PositionShape): PartialSums {
    if (shape.position !== this.#nextPosition) {
      throw new Error(`position ${shape.position} begun, ${this.#nextPosition} is next`);
    }
    if (shape.runs.length !== this.ranks) throw new Error(`runs of ${shape.runs.length} members, not ${this.ranks}`);
    const exchange = new PositionExchange(shape, this.#options.rank, this.#pool);
    const runs = shape.runs[this.#options.rank] ?? [];
    const partials = new PartialSums({ ...shape, runs, pool: this.#pool });
    this.#current = { exchange, partials };
    this.#positions.set(shape.position, this.#current);
    this.#nextPosition++;
    this.#progress.wake();
    return partials;
  }

  /**
   * Reduces the position that `partials` was begun for: whole or not at all.
   * @throws PeerError naming the member without which it cannot be; the signal's reason when aborted.
   */
  async allReduce(partials: PartialSums, signal: AbortSignal): Promise<Reduced> {
    const current = this.#current;
    if (current?.partials !== partials) throw new Error(`position ${partials.position} is not the one begun last`);
    signal.throwIfAborted();
    const { exchange } = current;
    exchange.publish(partials);
    this.#progress.wake();
    if (exchange.hops === 2) await sentFirst(); // or peers would wait while this member sums what it has of theirs
    exchange.sumArrived();
    await this.#untilComplete(exchange, signal);
    this.#releaseBefore(partials.position);
    return { position: partials.position, microBatches: partials.microBatches, ...exchange.result };
  }

  /** Ends the generation on this member: streams are cut, waits end with an error. */
  close(): void {
    this.#closed = new Error("the generation was closed on this worker");
    clearInterval(this.#silenceTimer);
    this.#close.abort(this.#closed);
    this.#current?.exchange.changes.wake();
    this.#options.server?.withdraw(this);
  }

  async *framesTo(to: number, firstPosition: number, signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    for (let position = firstPosition; ; position++) {
      const published = () => this.#positions.get(position)?.exchange.published !== undefined;
      if (!published()) await this.#progress.until(() => published() || position < this.#oldestHeld, signal);
      const open = this.#positions.get(position);
      if (open === undefined) throw new Error(`frames of position ${position} are no longer held`);
      yield* framesFor(to, this.#options.rank, open.exchange, this.generation, signal);
    }
  }

  async #pull(peer: { rank: number; address: string }): Promise<void> {
    const { generation, token, rank: ownRank } = this.#options;
    const oldestOpen = () => Math.max(this.#options.firstPosition, this.#nextPosition - 1);
    const sink: FrameSink = {
      place: (frame, payloadBytes) => this.#place(peer.rank, frame, payloadBytes),
      placed: (frame, payload) => {
        this.#framesTaken++;
        if (this.#isCurrent(frame)) this.#current?.exchange.placed(peer.rank, frame, payload);
      },
    };
    try {
      await pullFrom({ generation, ownRank, peer, token, nextPosition: oldestOpen, sink }, this.#close.signal);
    } catch (thrown) {
      const fault =
        thrown instanceof PeerError ? thrown : new PeerError(peer, "wrong", `failed: ${String(thrown)}`, thrown);
      this.#faults.set(peer.rank, fault);
      this.#current?.exchange.changes.wake();
    }
  }

  /** The place of a frame; one of a position that has not begun here waits for it, which holds its sender back. */
  #place(from: number, frame: Frame, payloadBytes: number): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (this.#isCurrent(frame)) return this.#current?.exchange.place(from, frame, payloadBytes);
    if (frame.position < this.#nextPosition) return undefined; // comes again, after a stream was re-opened
    return this.#progress
      .until(() => frame.position < this.#nextPosition, this.#close.signal)
      .then(() => this.#current?.exchange.place(from, frame, payloadBytes));
  }

  #isCurrent(frame: Frame): boolean {
    return frame.position === this.#current?.exchange.shape.position;
  }

  async #untilComplete(exchange: PositionExchange, signal: AbortSignal): Promise<void> {
    const wake = () => exchange.changes.wake();
    signal.addEventListener("abort", wake, { once: true });
    this.#framesSeen = undefined;
    const ended = () => exchange.complete || signal.aborted || this.#faultIn(exchange) !== undefined;
    try {
      await exchange.changes.until(ended);
    } finally {
      signal.removeEventListener("abort", wake);
    }
    if (exchange.complete) return;
    signal.throwIfAborted();
    throw this.#faultIn(exchange) ?? new Error("a reduction ended without a reason");
  }

  /** Called every silenceMs: a position that needs frames and got none since the last time has a silent peer. */
  #checkSilence(silenceMs: number): void {
    const exchange = this.#current?.exchange;
    if (exchange?.published === undefined || exchange.complete) return;
    const rank = exchange.missingRanks()[0];
    if (this.#framesTaken === this.#framesSeen && rank !== undefined) {
      const why = `sent nothing for ${silenceMs} ms and its part of position ${exchange.shape.position} is missing`;
      this.#faults.set(rank, new PeerError({ rank, address: this.#options.addresses[rank] ?? "" }, "silent", why));
      exchange.changes.wake();
    }
    this.#framesSeen = this.#framesTaken;
  }

  /** Why a position cannot be completed: a peer that it still needs, or the end of the generation. */
  #faultIn(exchange: PositionExchange): Error | undefined {
    if (this.#closed !== undefined) return this.#closed;
    if (this.#faults.size === 0) return undefined;
    const rank = exchange.missingRanks().find((missing) => this.#faults.has(missing));
    return rank === undefined ? undefined : this.#faults.get(rank);
  }

  #releaseBefore(position: number): void {
    for (const [held, open] of this.#positions) {
      if (held >= position) continue;
      open.partials.release();
      open.exchange.release();
      this.#positions.delete(held);
    }
    this.#oldestHeld = position;
  }
}

/** Resolves when what was woken before has been written to its socket. */
function sentFirst(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
