/**
 * A coordinator and its workers in memory: the pure machines, joined by queues that lose, delay and reorder nothing. What
 * happens is written down as a conversation. A step needs no numbers here: S(s) is named by its chain digest alone.
 */
import { type Ballot, formatBallot, type Plan, rankOf, runsFor } from "../generation.js";
import { chainDigest } from "../hash64.js";
import { advanceMember, newMember } from "../member.js";
import type { Held, MemberInput, MemberMessage, MemberOutput, MemberState } from "../member.js";
import type { MembershipInput, MembershipLimits, MembershipOutput, MembershipState } from "../membership-state.js";
import { advanceMembership, newMembership } from "../membership.js";
import { lastPosition, locate, type Timetable } from "../position.js";
import { heldText, planLines, promisedText } from "./lines.js";

export interface ClusterOptions extends Partial<MembershipLimits> {
  readonly workers: number;
  readonly timetable: Timetable;
  readonly incarnation?: number;
}

interface SimulatedWorker {
  readonly name: string;
  readonly order: number;
  state: MemberState;
  alive: boolean;
  connected: boolean;
  /** Takes no reduced sums from its peers. */
  paused: boolean;
  /** Makes no files for now. */
  busy: boolean;
  /** "plan position" of the partials that peers can pull. */
  readonly partials: Set<string>;
}

export class Cluster {
  /** The conversation, a line an event. */
  readonly trace: string[] = [];
  readonly #timetable: Timetable;
  readonly #workers: SimulatedWorker[] = [];
  readonly #queue: (() => void)[] = [];
  #coordinator: MembershipState;
  #nowMs = 0;
  /** Micro-batches of later positions are not computed yet. */
  #computeUpTo = 0;

  constructor(options: ClusterOptions) {
    const { workers, timetable } = options;
    this.#timetable = timetable;
    this.#coordinator = newMembership({
      job: "simulated",
      incarnation: options.incarnation ?? 1,
      microBatches: timetable.microBatches,
      shards: { version: 1, blockSamples: 64, addresses: ["shard-1"], ownersPerBlock: 1, owners: [0] },
      workersWanted: options.workersWanted ?? workers,
      patienceMs: options.patienceMs ?? 1_000,
      graceMs: options.graceMs ?? 3_000,
      silenceMs: options.silenceMs ?? 10_000,
    });
    for (let order = 0; order < workers; order++) {
      const name = `worker-${order + 1}`;
      const state = newMember(name);
      this.#workers.push({
        name,
        order,
        state,
        alive: true,
        connected: false,
        paused: false,
        busy: false,
        partials: new Set(),
      });
    }
  }

  /** Every worker attaches and makes S(0). */
  start(): void {
    for (const worker of this.#workers) this.connect(worker.name);
    const held = { position: 0, chain: 0n, lastPosition: lastPosition(this.#timetable) };
    for (const worker of this.#workers) this.#tell(worker, { type: "ready", held });
    this.#settle();
  }

  /** Computes on, until nothing moves. */
  run(upTo: number): void {
    this.#computeUpTo = upTo;
    for (const worker of this.#workers) this.#compute(worker);
    this.#settle();
  }

  connect(name: string): void {
    const worker = this.#named(name);
    worker.connected = true;
    this.#tell(worker, { type: "connected" });
    this.#settle();
  }

  /** The control stream breaks; the process lives. */
  disconnect(name: string): void {
    const worker = this.#named(name);
    worker.connected = false;
    this.#write(`${name} -x- coordinator: the control stream breaks`);
    this.#tell(worker, { type: "disconnected" });
    this.#tellCoordinator({ type: "detached", worker: name });
    this.#settle();
  }

  /** Peers see their streams end before the launcher sees the process end. */
  kill(name: string): void {
    const dead = this.#named(name);
    dead.alive = false;
    dead.connected = false;
    this.#write(`${name} is killed`);
    this.#tellCoordinator({ type: "detached", worker: name });
    for (const worker of this.#workers) {
      const plan = planOf(worker);
      if (!worker.alive || plan === undefined || rankOf(plan, name) === undefined) continue;
      this.#tell(worker, { type: "unreachable", ballot: plan.ballot, who: name, why: "its streams ended" });
    }
    this.#tellCoordinator({ type: "lost", worker: name, why: "ended with SIGKILL" });
    this.#settle();
  }

  stop(outcome: "cancelled" | "failed", why: string): void {
    this.#write(`outside -> coordinator: stop, ${why}`);
    this.#tellCoordinator({ type: "stop", ending: { outcome, why } });
    this.#settle();
  }

  pause(name: string, paused: boolean): void {
    this.#named(name).paused = paused;
    this.#settle();
  }

  /** A stream between two workers broke twice. */
  suspect(reporter: string, who: string, why: string): void {
    const worker = this.#named(reporter);
    const plan = planOf(worker);
    if (plan !== undefined) this.#tell(worker, { type: "unreachable", ballot: plan.ballot, who, why });
    this.#settle();
  }

  /** From now on it makes no files when asked to publish. */
  occupy(name: string): void {
    this.#named(name).busy = true;
  }

  /** What a worker is to find wrong at the position that it is at. */
  fault(name: string, sentence: string): void {
    this.#tell(this.#named(name), { type: "fault", sentence, jobFault: true });
    this.#settle();
  }

  /** Another state than the others', as faulty memory would make it. */
  corrupt(name: string): void {
    const worker = this.#named(name);
    if (worker.state.held === undefined) return;
    worker.state = { ...worker.state, held: { ...worker.state.held, chain: worker.state.held.chain ^ 1n } };
    this.#write(`${name} holds another state than the others`);
  }

  /** A message that was long on its way arrives. */
  replayFreeze(name: string, ballot: Ballot): void {
    this.#write(`coordinator -> ${name}: freeze ${formatBallot(ballot)} (again)`);
    this.#tell(this.#named(name), { type: "freeze", ballot });
    this.#settle();
  }

  replayPlan(name: string): void {
    const { stage } = this.#coordinator;
    if (!("plan" in stage)) return;
    this.#write(`coordinator -> ${name}: plan ${formatBallot(stage.plan.ballot)} (again)`);
    this.#tell(this.#named(name), { type: "plan", plan: stage.plan });
    this.#settle();
  }

  /** Time passes; who is connected has sent heartbeats meanwhile. */
  tick(milliseconds: number): void {
    this.#nowMs += milliseconds;
    for (const { name, alive, connected, state } of this.#workers) {
      if (alive && connected) this.#tellCoordinator({ type: "heartbeat", worker: name, held: state.held });
    }
    this.#tellCoordinator({ type: "tick" });
    this.#settle();
  }

  /** Position of every living worker's state. */
  positions(): (number | undefined)[] {
    return this.#workers.filter((worker) => worker.alive).map((worker) => worker.state.held?.position);
  }

  get stage(): string {
    return this.#coordinator.stage.at;
  }

  #tell(worker: SimulatedWorker, input: MemberInput): void {
    this.#queue.push(() => {
      if (!worker.alive) return;
      const { state, outputs } = advanceMember(worker.state, input);
      worker.state = state;
      for (const output of outputs) this.#doOfWorker(worker, output);
    });
  }

  #tellCoordinator(input: MembershipInput): void {
    this.#queue.push(() => {
      const { state, outputs } = advanceMembership(this.#coordinator, input, this.#nowMs);
      this.#coordinator = state;
      for (const output of outputs) this.#doOfCoordinator(output);
    });
  }

  /** First everything that was said, then the exchange of what was computed, until neither moves anything. */
  #settle(): void {
    do {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
      for (const worker of this.#workers) this.#exchange(worker);
    } while (this.#queue.length > 0);
  }

  #doOfWorker(worker: SimulatedWorker, output: MemberOutput): void {
    const { name } = worker;
    switch (output.type) {
      case "hello":
        return this.#hello(worker);
      case "heartbeat":
        this.#say(worker, `heartbeat, ${heldText(worker.state.held)}`, { held: worker.state.held });
        return;
      case "send":
        return this.#send(worker, output.message);
      case "open":
        return this.#write(`${name} opens ${formatBallot(output.plan.ballot)} as rank ${output.rank}`);
      case "pull":
        return this.#pull(worker, output.plan, output.position, output.source);
      case "compute":
        return this.#compute(worker);
      case "apply":
        return this.#apply(worker, output.position);
      case "hold":
        return this.#write(`${name} holds position ${output.position}: ${output.why}`);
      case "make-artifacts": {
        if (worker.busy) return this.#write(`${name} is busy making files`);
        const artifacts = [{ name: "model.onnx", bytes: 1, sha256: "00" }];
        return this.#tell(worker, { type: "artifacts", ballot: output.ballot, artifacts });
      }
      case "exit":
        return this.#write(`${name} exits: ${output.why}`);
      case "note":
        return this.#write(`${name} notes: ${output.text}`);
      case "reattach":
        return this.#write(`${name} attaches again`);
      case "cancel":
      case "reduce":
        return; // the exchange asks the machines where they stand
    }
  }

  #hello(worker: SimulatedWorker): void {
    const { name, order, state } = worker;
    const { held, promised, lastPlan } = state;
    const past = promisedText(promised);
    this.#write(`${name} -> coordinator: hello, ${heldText(held)}${past}`);
    const view = { worker: name, name, order, address: `address of ${name}`, held, promised };
    this.#tellCoordinator({ type: "attach", worker: { ...view, planHash: lastPlan?.planHash } });
  }

  #send(worker: SimulatedWorker, message: MemberMessage): void {
    const { name } = worker;
    switch (message.$case) {
      case "frozen": {
        const { ballot } = message.value;
        const { held } = worker.state;
        this.#write(`${name} -> coordinator: frozen ${formatBallot(ballot)}, ${heldText(held)}`);
        return this.#tellCoordinator({ type: "frozen", worker: name, ballot, held });
      }
      case "ahead":
        this.#write(`${name} -> coordinator: ahead, at ${message.value.position}`);
        return this.#tellCoordinator({ type: "ahead", worker: name, ballot: message.value.ballot });
      case "suspect": {
        const { ballot, worker: suspect, why } = message.value;
        this.#write(`${name} -> coordinator: suspects ${suspect}, ${why}`);
        return this.#tellCoordinator({ type: "suspect", reporter: name, ballot, suspect, why });
      }
      case "failed":
        this.#write(`${name} -> coordinator: failed, ${message.value.sentence}`);
        return this.#tellCoordinator({ type: "stop", ending: { outcome: "failed", why: message.value.sentence } });
      case "published":
        this.#write(`${name} -> coordinator: published ${message.value.artifacts.map((each) => each.name).join(", ")}`);
        return this.#tellCoordinator({ type: "published", worker: name, ...message.value });
    }
  }

  #say(worker: SimulatedWorker, text: string, said: { held: Held | undefined }): void {
    if (!worker.connected) return;
    this.#write(`${worker.name} -> coordinator: ${text}`);
    this.#tellCoordinator({ type: "heartbeat", worker: worker.name, held: said.held });
  }

  #doOfCoordinator(output: MembershipOutput): void {
    switch (output.type) {
      case "freeze":
        return this.#order(output.worker, `freeze ${formatBallot(output.ballot)}`, output);
      case "plan":
        return this.#order(output.worker, `plan ${formatBallot(output.plan.ballot)}`, output);
      case "publish":
        return this.#order(output.worker, `publish position ${output.position}`, { ...output, what: "final" });
      case "done":
        return this.#order(output.worker, `done, ${output.why}`, output);
      case "store":
        this.#write(`coordinator stores plan ${formatBallot(output.plan.ballot)}`);
        for (const line of planLines(output.plan)) this.#write(`  ${line}`);
        return;
      case "store-artifacts":
        this.#write(`coordinator stores the files of position ${output.position} from ${output.worker}`);
        return this.#tellCoordinator({ type: "stored" });
      case "raise-incarnation":
        this.#write(`coordinator raises its incarnation above ${output.above}`);
        return this.#tellCoordinator({ type: "incarnation", incarnation: output.above + 1 });
      case "closed": {
        const saved = output.position === undefined ? "nothing saved" : `position ${output.position} saved`;
        return this.#write(`job closed, ${output.outcome}, ${saved}: ${output.why}`);
      }
      case "note":
        return this.#write(`coordinator notes: ${output.text}`);
    }
  }

  #order(name: string, text: string, input: MemberInput): void {
    const worker = this.#named(name);
    const arrives = worker.connected ? "" : " (nobody there)";
    this.#write(`coordinator -> ${name}: ${text}${arrives}`);
    if (worker.connected) this.#tell(worker, input);
  }

  #compute(worker: SimulatedWorker): void {
    const { standing } = worker.state;
    if (!worker.alive || standing.at !== "compute" || standing.position > this.#computeUpTo) return;
    const { plan, rank, position } = standing;
    const place = locate(this.#timetable, position);
    const runs = runsFor(plan, rank, place).map((run) => `[${run.first}, ${run.end})`);
    this.#write(`${worker.name} computes ${position} (${place.phase}) ${runs.join(" ") || "nothing"}`);
    worker.partials.add(partialKey(plan, position));
    this.#tell(worker, { type: "computed", ballot: plan.ballot, position });
  }

  /** All of R(s) is there once every member has published its partials of s; who has applied s keeps R(s) (R9). */
  #exchange(worker: SimulatedWorker): void {
    const { standing } = worker.state;
    if (!worker.alive || worker.paused || standing.at !== "reduce") return;
    const { plan, position } = standing;
    const key = partialKey(plan, position);
    const everyone = plan.members.every((member) => {
      const peer = this.#named(member.worker);
      return peer.alive && peer.partials.has(key);
    });
    if (everyone) this.#tell(worker, { type: "reduced", ballot: plan.ballot, position });
  }

  #apply(worker: SimulatedWorker, position: number): void {
    const before = worker.state.held;
    if (before === undefined) throw new Error(`${worker.name} has no state to apply position ${position} to`);
    this.#write(`${worker.name} applies ${position}`);
    const held = { ...before, position, chain: chainDigest(before.chain, position, [position]) };
    // At once, as PROTOCOL asks: nothing comes between the change of the state and the change of its label.
    const { state, outputs } = advanceMember(worker.state, { type: "applied", held });
    worker.state = state;
    for (const output of outputs) this.#doOfWorker(worker, output);
  }

  #pull(worker: SimulatedWorker, plan: Plan, position: number, source: string): void {
    this.#write(`${worker.name} pulls the state of position ${position} from ${source}`);
    const from = this.#workers.find((each) => `address of ${each.name}` === source);
    const held = from?.state.held;
    if (from?.alive === true && held !== undefined)
      this.#tell(worker, { type: "synced", ballot: plan.ballot, held: { ...held } });
  }

  #named(name: string): SimulatedWorker {
    const worker = this.#workers.find((each) => each.name === name);
    if (worker === undefined) throw new Error(`There is no ${name}.`);
    return worker;
  }

  #write(line: string): void {
    this.trace.push(line);
  }
}

function planOf(worker: SimulatedWorker): Plan | undefined {
  return "plan" in worker.state.standing ? worker.state.standing.plan : undefined;
}

function partialKey(plan: Plan, position: number): string {
  return `${plan.planHash} ${position}`;
}
