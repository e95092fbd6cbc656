/**
 * One job on this worker: runs the member machine of packages/protocol and does what its outputs ask. What the machine does
 * not know is here: streams, lanes, the log, and the order of steps in time.
 */
import { PeerError, type PeerServer } from "@lockstep/collective";
import {
  advanceMember,
  type Ballot,
  formatBallot,
  type Held,
  lastPosition,
  locate,
  type MemberInput,
  type MemberOutput,
  type MemberState,
  newMember,
  type Place,
  type Plan,
} from "@lockstep/protocol";
import { type Assignment, failedMsMax, type Heartbeat, type Hello, holdMsMax, sessionsMsMax } from "@lockstep/rpc";
import { InputError } from "@lockstep/spec";
import type { Log } from "@lockstep/telemetry";
import type { Checkpointer } from "./checkpointer.js";
import type { Control } from "./control.js";
import { GenerationWork } from "./generation-work.js";
import { JobFault } from "./job-fault.js";
import { Ledger } from "./ledger.js";
import { samplesLine, stepLine } from "./log-lines.js";
import type { SampledMicroBatch } from "./micro-batches.js";
import { DataShardLost } from "./shard-stream.js";
import { step } from "./step.js";
import { type StepPhase, StepWatch } from "./step-watch.js";
import { type Job, openTraining, prepareJob, type Training } from "./training.js";

export interface TrainerOptions {
  readonly worker: string;
  readonly control: Pick<Control, "send" | "beat" | "reattach">;
  readonly peers: PeerServer;
  readonly checkpointer: Checkpointer;
  readonly token: string | undefined;
  /** Sends Hello. */
  hello(): void;
  /** The job is over for this worker. */
  exit(why: string): void;
  readonly log: Log;
}

/** What there is once the job is known. */
interface Assigned {
  readonly job: Job;
  /** The engine takes longer than the first state: freezes are answered meanwhile. */
  readonly training: Promise<Training>;
}

/** A generation that is being worked on. */
interface Current {
  readonly plan: Plan;
  readonly work: Promise<GenerationWork>;
  readonly abort: AbortController;
}

export class Trainer {
  readonly #options: TrainerOptions;
  readonly #ledger = new Ledger();
  readonly #pulse = { phase: "idle", progress: 0 };
  #assigned: Assigned | undefined;
  #member: MemberState;
  #current: Current | undefined;
  /** Steps run one after the other: a cancelled one still empties the engine's lanes before the next loads its state. */
  #steps: Promise<void> = Promise.resolve();
  #failed = false;

  constructor(options: TrainerOptions) {
    this.#options = options;
    this.#member = newMember(options.worker);
  }

  get job(): Job | undefined {
    return this.#assigned?.job;
  }

  /** Whether the job, or this worker in it, has failed. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Gives the machine an input and does what it asks for. */
  advance(input: MemberInput): void {
    const { state, outputs } = advanceMember(this.#member, input);
    this.#member = state;
    for (const output of outputs) this.#do(output);
  }

  /** Makes S(0) and opens the engine. Later assignments, of streams that were opened again, say the same. */
  assign(assignment: Assignment): void {
    if (this.#assigned !== undefined) return;
    try {
      const job = prepareJob(assignment);
      this.#options.control.send({
        $case: "announce",
        value: { doing: "creating sessions", atMostMs: sessionsMsMax },
      });
      const training = openTraining(job);
      training.catch((thrown: unknown) => this.#fail(thrown));
      this.#assigned = { job, training };
      this.advance({ type: "ready", held: heldBy(job) });
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** What Hello says of this worker (R4). */
  standing(): Pick<Hello, "hasState" | "position" | "chain" | "promised" | "lastPlan" | "ledger" | "specHash"> {
    const { held, promised, lastPlan } = this.#member;
    return {
      hasState: held !== undefined,
      position: held?.position ?? 0,
      chain: held?.chain ?? 0n,
      promised,
      lastPlan,
      ledger: this.#ledger.unacknowledged(),
      specHash: this.#assigned?.job.assignment.specHash ?? 0n,
    };
  }

  heartbeat(): Heartbeat {
    const { held } = this.#member;
    return {
      hasState: held !== undefined,
      position: held?.position ?? 0,
      chain: held?.chain ?? 0n,
      lastPosition: held?.lastPosition ?? 0,
      records: this.#ledger.unsent(),
      ...this.#pulse,
    };
  }

  acknowledge(position: number): void {
    this.#ledger.acknowledge(position);
  }

  async close(): Promise<void> {
    this.#cancel();
    const training = await this.#assigned?.training.catch(() => undefined); // told when it failed
    await training?.engine.close();
  }

  #do(output: MemberOutput): void {
    const { control, peers, log } = this.#options;
    switch (output.type) {
      case "hello":
        return this.#options.hello();
      case "heartbeat":
        return control.beat();
      case "send":
        return control.send(output.message);
      case "cancel":
        peers.promise(output.before);
        return this.#cancel();
      case "open":
        return this.#open(output.plan, output.rank);
      case "compute":
        return this.#compute(output.position);
      case "reduce":
      case "apply":
        return; // step() goes on by itself: it has just asked
      case "hold":
        return this.#hold(output.position, output.why);
      case "make-artifacts":
        return void this.#publish(output.ballot);
      case "pull":
        return this.#fail(new Error(`position ${output.position} would have to be pulled from ${output.source}`));
      case "reattach":
        return control.reattach();
      case "exit":
        this.#cancel();
        return this.#options.exit(output.why);
      case "note":
        return log.info(output.text);
    }
  }

  #open(plan: Plan, rank: number): void {
    const { peers, token, log } = this.#options;
    log.info(`generation ${formatBallot(plan.ballot)}: rank ${rank} of ${plan.members.length}`);
    const abort = new AbortController();
    const work = this.#trainingOf().then((training) => {
      abort.signal.throwIfAborted();
      return new GenerationWork({ training, plan, rank, peers, token, log });
    });
    this.#current = { plan, work, abort };
    work.catch((thrown: unknown) => {
      if (!abort.signal.aborted) this.#fail(thrown);
    });
  }

  /** Ends the generation: what is in flight is thrown away, nothing of it is applied any more (R1). */
  #cancel(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    this.#pulse.phase = "idle";
    current.abort.abort(new Error(`generation ${formatBallot(current.plan.ballot)} is over`));
    current.work.then(
      (work) => work.close(),
      () => undefined, // it never was: told in #open
    );
  }

  #compute(position: number): void {
    const current = this.#current;
    if (current === undefined) throw new Error(`position ${position} is to be computed outside of a generation`);
    this.#steps = this.#steps.then(() => this.#step(current, position));
  }

  async #step(current: Current, position: number): Promise<void> {
    const { signal } = current.abort;
    if (signal.aborted) return;
    try {
      const [training, work] = await Promise.all([this.#trainingOf(), current.work]);
      const place = locate(training.timetable, position);
      const watch = new StepWatch(
        (phase) => this.#enter(phase, current.plan.ballot, position),
        (batch) => this.#received(place, batch),
      );
      const record = await step(training, work, place, watch, signal);
      this.#ledger.add(record);
      if (this.#options.log.isDebug) this.#options.log.debug(stepLine(place, work.runsAt(place), record));
      this.advance({ type: "applied", held: heldBy(training) });
    } catch (thrown) {
      if (!signal.aborted) this.#stepFailed(current, thrown);
    }
  }

  /**
   * step() is about to go on to its next phase: the machine decides.
   * @throws Error when the generation is over
   */
  #enter(phase: StepPhase, ballot: Ballot, position: number): void {
    if (phase === "reduce") this.advance({ type: "computed", ballot, position });
    if (phase === "apply") this.advance({ type: "reduced", ballot, position });
    const { standing } = this.#member;
    if (standing.at !== phase || standing.position !== position) {
      throw new Error(`the generation ended before position ${position} could ${phase}`);
    }
    this.#pulse.phase = phase;
    this.#pulse.progress++;
  }

  #received(place: Place, batch: SampledMicroBatch): void {
    this.#pulse.progress++;
    const { log } = this.#options;
    const { job } = this;
    if (log.isTrace && job !== undefined) log.trace(samplesLine(job.timetable, place, batch));
  }

  #hold(position: number, why: string): void {
    this.#pulse.phase = "hold";
    this.#options.log.info(`holds position ${position}: ${why}`);
    this.#current?.work.then(
      (work) => work.hold(),
      () => undefined, // it never was: told in #open
    );
    this.#leaveAfter(holdMsMax, "held the last position, and nobody said that the job is done");
  }

  /** Makes the files of the state; they are pulled from the PeerServer. */
  async #publish(ballot: Ballot): Promise<void> {
    try {
      const artifacts = this.#options.checkpointer.publish(await this.#trainingOf());
      this.advance({ type: "artifacts", ballot, artifacts });
    } catch (thrown) {
      this.#giveUp(thrown); // another member is asked for them
    }
  }

  /** Who is lost is for the coordinator to judge; anything else ends this worker's part. */
  #stepFailed({ plan }: Current, thrown: unknown): void {
    if (this.#member.standing.at === "apply") return this.#giveUp(thrown);
    const isPeer = thrown instanceof PeerError;
    if (!isPeer && !(thrown instanceof DataShardLost)) return this.#fail(thrown);
    this.#options.log.warn(thrown.message);
    if (isPeer && thrown.fault === "refused") return; // it has promised a newer generation: that freeze is on its way
    const who = isPeer ? (plan.members[thrown.rank]?.worker ?? thrown.address) : thrown.address;
    this.advance({ type: "unreachable", ballot: plan.ballot, who, why: thrown.message });
  }

  /** Says why, and stays where there is a whole state: what was trained may have to be saved from it, whoever is at fault. */
  #fail(thrown: unknown): void {
    if (this.#failed) return;
    const error = errorOf(thrown);
    const jobFault = isJobFault(error);
    if (this.#member.held === undefined && !jobFault) return this.#giveUp(thrown);
    this.#failed = true;
    this.#options.log.error(shown(error));
    this.#cancel();
    this.advance({ type: "fault", sentence: error.message, jobFault });
    this.#leaveAfter(failedMsMax, "failed, and nobody said what to do");
  }

  /**
   * Says why and leaves: nothing can be saved from here. Apply threw, and the state may be half of one position and half of the
   * next (no freeze is answered in apply), or its files cannot be made.
   */
  #giveUp(thrown: unknown): void {
    this.#failed = true;
    const error = errorOf(thrown);
    this.#options.log.error(shown(error));
    this.#cancel();
    this.#options.control.send({ $case: "failed", value: { sentence: error.message, jobFault: isJobFault(error) } });
    this.#leaveAfter(0, "failed");
  }

  #leaveAfter(milliseconds: number, why: string): void {
    setTimeout(() => this.#options.exit(why), milliseconds).unref();
  }

  #trainingOf(): Promise<Training> {
    return this.#assigned?.training ?? Promise.reject(new Error("there is no job yet"));
  }
}

function heldBy({ state, timetable }: Job): Held {
  return { position: state.position, chain: state.chain, lastPosition: lastPosition(timetable) };
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function isJobFault(error: Error): boolean {
  return error instanceof JobFault || error instanceof InputError;
}

/** For the log: whoever mends the job needs no stack, whoever mends Lockstep does. */
function shown(error: Error): string {
  return isJobFault(error) ? error.message : (error.stack ?? error.message);
}
