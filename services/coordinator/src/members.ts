// The workers of one job: their control streams to inputs of the membership machine, its outputs to orders.

import {
  advanceMembership,
  type Held,
  type MembershipInput,
  type MembershipOutput,
  type MembershipState,
  noBallot,
  requireBallot,
} from "@lockstep/protocol";
import {
  type Assignment,
  type Failed,
  type Hello,
  type PositionRecord,
  RpcError,
  Status,
  type WorkerMessage,
  type WorkerOrder,
} from "@lockstep/rpc";

type Order = NonNullable<WorkerOrder["order"]>;
type OutputOf<Type> = Extract<MembershipOutput, { type: Type }>;

export interface MembersOptions {
  readonly assignment: Assignment;
  /** Workers of another engine identity are refused. */
  readonly strict: boolean;
  readonly membership: MembershipState;
  /** Milliseconds of a steady clock. */
  now(): number;
  /** The process as the launcher started it, "worker-2" and its number among them; undefined: started elsewhere. */
  processOf(processId: number): { readonly name: string; readonly order: number } | undefined;
  /** What positions did; returns the last one that stands on durable storage. */
  records(records: readonly PositionRecord[]): number;
  store(plan: OutputOf<"store">["plan"]): void;
  /** Pull the files from the writer's address, then say "stored" or "not-stored". */
  storeArtifacts(output: OutputOf<"store-artifacts">, address: string): void;
  closed(output: OutputOf<"closed">): void;
  /** Raises the store's incarnation above this one and returns it (R4). */
  raiseIncarnation(above: number): number;
  note(text: string): void;
}

interface Stream {
  readonly worker: string;
  readonly name: string;
  readonly address: string;
  /** Place in rank order. */
  readonly order: number;
  readonly send: (order: WorkerOrder) => Promise<void>;
}

export class Members {
  readonly #options: MembersOptions;
  /** Of workers that are attached now. */
  readonly #streams = new Map<string, Stream>();
  /** Worker by process id, of all that ever attached: a stream often ends before its process is seen to. */
  readonly #processes = new Map<number, string>();
  #state: MembershipState;
  /** Engine and build of the first worker: the others' too. */
  #identity: string | undefined;

  constructor(options: MembersOptions) {
    this.#options = options;
    this.#state = options.membership;
  }

  /** Workers that have attached while the first generation still waits for more; undefined: it has begun. */
  get gathered(): number | undefined {
    return this.#state.stage.at === "gather" ? this.#state.workers.size : undefined;
  }

  get closed(): boolean {
    return this.#state.stage.at === "closed";
  }

  /** One worker's stream, until it ends. */
  async serve(
    messages: AsyncIterable<WorkerMessage>,
    send: (order: WorkerOrder) => Promise<void>,
    hello: Hello,
  ): Promise<void> {
    const stream = this.#admit(hello, send);
    try {
      await send({ order: { $case: "assignment", value: this.#options.assignment } });
      // What the last stream may not have delivered (R16).
      this.#take(stream, hello.ledger);
      this.advance({ type: "attach", worker: this.#viewOf(stream, hello) });
      for await (const { message } of messages) {
        if (message !== undefined) this.#hear(stream, message);
      }
    } finally {
      // A worker that attached again meanwhile has another stream by now.
      if (this.#streams.get(stream.worker) === stream) {
        this.#streams.delete(stream.worker);
        this.advance({ type: "detached", worker: stream.worker });
      }
    }
  }

  /** A process that a launcher started has ended. */
  processEnded(processId: number, why: string): boolean {
    const worker = this.#processes.get(processId);
    if (worker === undefined) return false;
    this.advance({ type: "lost", worker, why });
    return true;
  }

  advance(input: MembershipInput): void {
    const { state, outputs } = advanceMembership(this.#state, input, this.#options.now());
    this.#state = state;
    for (const output of outputs) this.#do(output);
  }

  #admit(hello: Hello, send: Stream["send"]): Stream {
    const { assignment, strict } = this.#options;
    const { workersWanted } = this.#state.options;
    const known = new Set([...this.#state.workers.keys(), ...this.#streams.keys()]);
    const identity = `${hello.engineIdentity}, Lockstep ${hello.build}`;
    if (hello.specHash !== 0n && hello.specHash !== assignment.specHash)
      throw new RpcError(Status.FAILED_PRECONDITION, "This worker was attached to a job with another spec.");
    if (strict && this.#identity !== undefined && this.#identity !== identity)
      throw new RpcError(
        Status.FAILED_PRECONDITION,
        `This worker computes with ${identity}, the job with ${this.#identity}; ` +
          "use the same build, or say determinism: relaxed in the spec.",
      );
    if (!known.has(hello.worker) && known.size >= workersWanted)
      throw new RpcError(Status.FAILED_PRECONDITION, `The job has its ${workersWanted} workers already.`);
    this.#identity ??= identity;
    const { worker, address, processId } = hello;
    const launched = this.#options.processOf(processId);
    const name = launched?.name ?? `worker ${worker.slice(0, 8)}`;
    const order = launched?.order ?? workersWanted;
    const stream: Stream = { worker, name, order, address, send };
    this.#streams.set(worker, stream);
    this.#processes.set(processId, worker);
    return stream;
  }

  #viewOf(stream: Stream, hello: Hello): Extract<MembershipInput, { type: "attach" }>["worker"] {
    const { worker, name, order, address } = stream;
    const planHash = hello.lastPlan?.planHash;
    return { worker, name, order, address, held: heldOf(hello, 0), promised: hello.promised ?? noBallot, planHash };
  }

  #hear(stream: Stream, message: NonNullable<WorkerMessage["message"]>): void {
    const { worker } = stream;
    switch (message.$case) {
      case "heartbeat": {
        const { records, lastPosition } = message.value;
        this.#take(stream, records);
        return this.advance({ type: "heartbeat", worker, held: heldOf(message.value, lastPosition) });
      }
      case "frozen": {
        const { ballot, lastPosition } = message.value;
        const held = heldOf(message.value, lastPosition);
        return this.advance({ type: "frozen", worker, ballot: requireBallot(ballot), held });
      }
      case "ahead":
        return this.advance({ type: "ahead", worker, ballot: requireBallot(message.value.ballot) });
      case "announce":
        return this.advance({ type: "announce", worker, atMostMs: message.value.atMostMs });
      case "suspect": {
        const { ballot, worker: suspect, why } = message.value;
        return this.advance({ type: "suspect", reporter: worker, ballot: requireBallot(ballot), suspect, why });
      }
      case "failed":
        return this.#onFailed(stream, message.value);
      case "published": {
        const { ballot, artifacts } = message.value;
        return this.advance({ type: "published", worker, ballot: requireBallot(ballot), artifacts });
      }
      case "leave":
        return this.advance({ type: "lost", worker, why: `leaves: ${message.value.why}` });
      case "hello":
        throw new RpcError(Status.INVALID_ARGUMENT, "A worker says Hello once a stream.");
    }
  }

  #take(stream: Stream, records: readonly PositionRecord[]): void {
    if (records.length === 0) return;
    const position = this.#options.records(records);
    this.#send(stream, { $case: "acknowledge", value: { position } });
  }

  /** A worker that fails stays, so that what is trained can be saved from it; whose fault it is only changes the sentence. */
  #onFailed(stream: Stream, { sentence, jobFault }: Failed): void {
    const why = jobFault ? sentence : `${stream.name}: ${sentence}`;
    this.advance({ type: "stop", ending: { outcome: "failed", why } });
  }

  #do(output: MembershipOutput): void {
    const options = this.#options;
    switch (output.type) {
      case "note":
        return options.note(output.text);
      case "store":
        return options.store(output.plan);
      case "store-artifacts":
        return options.storeArtifacts(output, this.#state.workers.get(output.worker)?.address ?? "");
      case "raise-incarnation":
        options.note(`a worker has promised incarnation ${output.above}, newer than this coordinator's`);
        return this.advance({ type: "incarnation", incarnation: options.raiseIncarnation(output.above) });
      case "closed":
        return options.closed(output);
      case "freeze":
        return this.#order(output.worker, { $case: "freeze", value: { ballot: output.ballot } });
      case "plan":
        return this.#order(output.worker, { $case: "plan", value: output.plan });
      case "publish": {
        const { ballot, position } = output;
        return this.#order(output.worker, { $case: "publish", value: { ballot, position, what: "final" } });
      }
      case "done":
        return this.#order(output.worker, { $case: "done", value: { why: output.why } });
    }
  }

  #order(worker: string, order: Order): void {
    const stream = this.#streams.get(worker);
    if (stream !== undefined) this.#send(stream, order);
  }

  /** A stream that takes nothing any more ends by itself, which its reader notices. */
  #send(stream: Stream, order: Order): void {
    stream.send({ order }).catch((error: unknown) => {
      this.#options.note(`${stream.name} could not be told ${order.$case}: ${(error as Error).message}`);
    });
  }
}

function heldOf(said: { hasState: boolean; position: number; chain: bigint }, last: number): Held | undefined {
  return said.hasState ? { position: said.position, chain: said.chain, lastPosition: last } : undefined;
}
