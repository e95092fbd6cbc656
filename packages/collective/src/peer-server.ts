/** A member's PeerService: lets the others pull what its collective has for them, and refuses other generations. */
import { compareBallots, formatBallot, noBallot, type Ballot } from "@lockstep/protocol";
import {
  RpcError,
  Status,
  Wakeups,
  peerService,
  peerWaitMs,
  streamMethod,
  unaryMethod,
  type ArtifactRequest,
  type CallContext,
  type ExchangeRequest,
  type Frame,
  type PeerServiceServer,
  type ServedService,
  type StateRequest,
} from "@lockstep/rpc";
import type { Generation } from "./generation.js";

/** What the worker itself answers; both throw RpcError (FAILED_PRECONDITION, NOT_FOUND) for what they do not have. */
export interface PeerAnswers {
  state(request: StateRequest, context: CallContext): AsyncIterable<Frame>;
  artifact(request: ArtifactRequest, context: CallContext): AsyncIterable<Frame>;
}

export interface PeerServerOptions {
  readonly job: string;
  /** This worker's uuid, answered to a probe. */
  readonly worker: string;
  readonly answers: PeerAnswers;
  /** How long a call of a newer generation waits for this worker's own plan. Default peerWaitMs. */
  readonly planWaitMs?: number;
}

/** The collective of one generation, as its server sees it. */
export interface OutgoingStreams {
  readonly generation: Generation;
  readonly ranks: number;
  /** All that rank `to` needs, from `firstPosition` on, until the generation ends. */
  framesTo(to: number, firstPosition: number, signal: AbortSignal): AsyncIterable<Frame>;
}

export class PeerServer {
  /** For startServer. */
  readonly service: ServedService;
  readonly #options: PeerServerOptions;
  readonly #changes = new Wakeups();
  #promised: Ballot = noBallot;
  #current: OutgoingStreams | undefined;
  #currentEnds = new AbortController();

  constructor(options: PeerServerOptions) {
    this.#options = options;
    const implementation: PeerServiceServer = {
      exchange: streamMethod((request, context) => this.#exchange(request, context)),
      state: streamMethod((request, context) => options.answers.state(request, context)),
      artifact: streamMethod((request, context) => options.answers.artifact(request, context)),
      probe: unaryMethod((request) => {
        this.#checkJob(request.job);
        return { worker: options.worker };
      }),
    };
    this.service = { definition: peerService, implementation };
  }

  /** R1: from here on nothing of an older generation leaves this member; its open streams are cut. */
  promise(ballot: Ballot): void {
    if (compareBallots(ballot, this.#promised) > 0) this.#promised = ballot;
    const current = this.#current;
    if (current !== undefined && compareBallots(current.generation.ballot, this.#promised) < 0) this.withdraw(current);
  }

  /**
   * Serves `streams`, and calls that already wait for that generation.
   * @throws Error when a newer generation has been promised.
   */
  offer(streams: OutgoingStreams): void {
    this.promise(streams.generation.ballot);
    if (compareBallots(streams.generation.ballot, this.#promised) < 0) {
      throw new Error(
        `generation ${formatBallot(streams.generation.ballot)} is over: ${formatBallot(this.#promised)} was promised`,
      );
    }
    if (this.#current !== undefined) this.withdraw(this.#current);
    this.#current = streams;
    this.#currentEnds = new AbortController();
    this.#changes.wake();
  }

  /** Ends the streams of a generation that is over. */
  withdraw(streams: OutgoingStreams): void {
    if (this.#current !== streams) return;
    this.#current = undefined;
    const sentence = `Generation ${formatBallot(streams.generation.ballot)} is over on this worker.`;
    this.#currentEnds.abort(new RpcError(Status.ABORTED, sentence));
  }

  async #exchange(request: ExchangeRequest, context: CallContext): Promise<AsyncIterable<Frame>> {
    this.#checkJob(request.job);
    const streams = await this.#streamsOf(request, context);
    if (request.rank >= streams.ranks) {
      throw new RpcError(Status.INVALID_ARGUMENT, `There is no rank ${request.rank} of ${streams.ranks}.`);
    }
    const signal = AbortSignal.any([context.signal, this.#currentEnds.signal]);
    return streams.framesTo(request.rank, request.firstPosition, signal);
  }

  /** The caller's generation: ours at once, a newer one when our plan arrives, never an older or a contradicting one. */
  async #streamsOf(request: ExchangeRequest, context: CallContext): Promise<OutgoingStreams> {
    const wanted = request.ballot ?? noBallot;
    const arrived = () =>
      compareBallots(wanted, this.#promised) < 0 ||
      (this.#current !== undefined && compareBallots(this.#current.generation.ballot, wanted) >= 0);
    const waitMs = this.#options.planWaitMs ?? peerWaitMs;
    const deadline = new AbortController();
    const timer = setTimeout(() => {
      const sentence = `This worker has no plan of generation ${formatBallot(wanted)} after ${waitMs} ms.`;
      deadline.abort(new RpcError(Status.UNAVAILABLE, sentence));
    }, waitMs);
    try {
      await this.#changes.until(arrived, AbortSignal.any([context.signal, deadline.signal]));
    } finally {
      clearTimeout(timer);
    }
    if (compareBallots(wanted, this.#promised) < 0) {
      const sentence = `Generation ${formatBallot(wanted)} is over: this worker promised ${formatBallot(this.#promised)}.`;
      throw new RpcError(Status.FAILED_PRECONDITION, sentence);
    }
    const current = this.#current;
    if (current?.generation.planHash !== request.planHash) {
      const sentence = `Two plans carry generation ${formatBallot(wanted)}: alarm, neither is to be trusted.`;
      throw new RpcError(Status.FAILED_PRECONDITION, sentence);
    }
    return current;
  }

  #checkJob(job: string): void {
    if (job === this.#options.job) return;
    throw new RpcError(Status.FAILED_PRECONDITION, `This worker works for job ${this.#options.job}, not ${job}.`);
  }
}
