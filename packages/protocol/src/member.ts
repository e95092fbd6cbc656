/**
 * The worker's machine: PROTOCOL's first table as a pure function. An input and a state give a new state and outputs, which
 * the caller does in order, feeding back what comes of them. Time is nowhere in it: a member never decides by the clock.
 *
 *            freeze(b)          plan(b): pos = f-1            reduced          applied
 *   idle ---------------> frozen ---------------> compute ------------> apply --------+--> hold: pos = F or plan.end
 *     ^                    |  ^  \  pos < f-1        ^ computed: reduce               |
 *     |   not a member     |  |   `-----> sync ------' synced                         |
 *     `--------------------'  |             ^---------------------------- next position
 *                             `-- freeze of a newer ballot, from anywhere but the middle of apply
 *
 * What a promise means (R1): after frozen(b) nothing of a generation before b is applied, published or accepted. Every input
 * that belongs to a generation carries its ballot and is compared here.
 */
import { type Ballot, compareBallots, formatBallot, noBallot, type Plan, rankOf } from "./generation.js";

/** The state that a member holds: S(position), whole (R3). */
export interface Held {
  readonly position: number;
  /** c(position), R18. */
  readonly chain: bigint;
  /** F, the job's last position, as this state has it. */
  readonly lastPosition: number;
}

/** Where a member is. */
export type Standing =
  /** No generation: waits to be frozen. */
  | { readonly at: "idle" }
  /** Has promised `promised`, waits for its plan, and applies nothing. */
  | { readonly at: "frozen" }
  /** Pulls S(position) into a second buffer. */
  | { readonly at: "sync"; readonly plan: Plan; readonly rank: number; readonly position: number }
  /** Computes its micro-batches of `position`. */
  | { readonly at: "compute"; readonly plan: Plan; readonly rank: number; readonly position: number }
  /** Exchanges sums of `position`. */
  | { readonly at: "reduce"; readonly plan: Plan; readonly rank: number; readonly position: number }
  /** Changes the state in place: a freeze that comes now waits for the end. */
  | {
      readonly at: "apply";
      readonly plan: Plan;
      readonly rank: number;
      readonly position: number;
      readonly freeze: Ballot | undefined;
    }
  /** Nothing left to compute: serves sums and state until done (R9). */
  | { readonly at: "hold"; readonly plan: Plan; readonly rank: number; readonly why: string }
  /** Something went wrong outside of apply (a loss that is not finite): keeps its state and waits for the ballot that ends the job. */
  | { readonly at: "halted"; readonly why: string }
  | { readonly at: "done"; readonly why: string };

export interface MemberState {
  readonly worker: string;
  /** Whether the control stream is open. Steady training needs none. */
  readonly attached: boolean;
  readonly standing: Standing;
  /** The newest ballot that this member has answered. */
  readonly promised: Ballot;
  /** The newest plan that it has accepted. */
  readonly lastPlan: Plan | undefined;
  /** Undefined: no complete state. */
  readonly held: Held | undefined;
}

export type MemberInput =
  /** The control stream is open: Hello goes out first. */
  | { readonly type: "connected" }
  | { readonly type: "disconnected" }
  /** S(0) is made, or a checkpoint loaded. */
  | { readonly type: "ready"; readonly held: Held }
  | { readonly type: "freeze"; readonly ballot: Ballot }
  | { readonly type: "plan"; readonly plan: Plan }
  /** The state that "pull" asked for is whole in the second buffer, its digest matches, and it is swapped in. */
  | { readonly type: "synced"; readonly ballot: Ballot; readonly held: Held }
  /** This member's micro-batches of `position` are computed and its partials can be pulled. */
  | { readonly type: "computed"; readonly ballot: Ballot; readonly position: number }
  /** All of R(position) is in memory: the commit point. */
  | { readonly type: "reduced"; readonly ballot: Ballot; readonly position: number }
  /** "apply" is done: the state is S(held.position). */
  | { readonly type: "applied"; readonly held: Held }
  /** "apply" threw half-way: no complete state is left. */
  | { readonly type: "state-lost"; readonly why: string }
  /** A stream to a peer or data-shard broke, was opened again once, and broke again (R8). */
  | { readonly type: "unreachable"; readonly ballot: Ballot; readonly who: string; readonly why: string }
  /** A peer or data-shard answered that it has promised a newer ballot. */
  | { readonly type: "refused"; readonly promised: Ballot }
  /** This member cannot go on, by the job's fault or its own; nothing more must be applied. */
  | { readonly type: "fault"; readonly sentence: string; readonly jobFault: boolean }
  | { readonly type: "publish"; readonly ballot: Ballot; readonly position: number; readonly what: string }
  /** The files that "make-artifacts" asked for can be pulled. */
  | { readonly type: "artifacts"; readonly ballot: Ballot; readonly artifacts: ArtifactName[] }
  | { readonly type: "done"; readonly why: string };

export interface ArtifactName {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Messages to the coordinator, shaped as WorkerMessage.message on the wire. */
export type MemberMessage =
  | { readonly $case: "frozen"; readonly value: FrozenMessage }
  | { readonly $case: "ahead"; readonly value: { readonly ballot: Ballot; readonly position: number } }
  | {
      readonly $case: "suspect";
      readonly value: { readonly ballot: Ballot; readonly worker: string; readonly why: string };
    }
  | { readonly $case: "failed"; readonly value: { readonly sentence: string; readonly jobFault: boolean } }
  | { readonly $case: "published"; readonly value: { readonly ballot: Ballot; readonly artifacts: ArtifactName[] } };

export interface FrozenMessage {
  readonly ballot: Ballot;
  /** False: the numbers after it mean nothing. */
  readonly hasState: boolean;
  readonly position: number;
  readonly chain: bigint;
  readonly lastPosition: number;
}

export type MemberOutput =
  /** Hello: first message of a control stream. Its content is in the state (held, promised, lastPlan) and the ledger. */
  | { readonly type: "hello" }
  /** Heartbeat now, not at the next beat: the coordinator waits for what it says. */
  | { readonly type: "heartbeat" }
  | { readonly type: "send"; readonly message: MemberMessage }
  /** Cancel every stream and exchange of generations before this ballot; own partials of pos+1 are kept (R7). */
  | { readonly type: "cancel"; readonly before: Ballot }
  /** Open the generation's streams. Once a plan, before anything else of it. */
  | { readonly type: "open"; readonly plan: Plan; readonly rank: number }
  /** Pull S(position) from `source` into a second buffer, check its digest, swap it in, then "synced". */
  | { readonly type: "pull"; readonly plan: Plan; readonly position: number; readonly source: string }
  /** Compute the micro-batches of runsFor(plan, rank, place) that are not there yet, publish them, then "computed". */
  | { readonly type: "compute"; readonly plan: Plan; readonly rank: number; readonly position: number }
  /** Exchange until all of R(position) is in memory, then "reduced". */
  | { readonly type: "reduce"; readonly plan: Plan; readonly rank: number; readonly position: number }
  /** Change the state with no await in between, then "applied" at once. */
  | { readonly type: "apply"; readonly position: number }
  /** Serve what is held until done; a heartbeat follows. */
  | { readonly type: "hold"; readonly position: number; readonly why: string }
  /** Make the files of S(position), then "artifacts". */
  | { readonly type: "make-artifacts"; readonly ballot: Ballot; readonly position: number; readonly what: string }
  /** Close the control stream and open another. */
  | { readonly type: "reattach" }
  | { readonly type: "exit"; readonly why: string }
  /** For the log. */
  | { readonly type: "note"; readonly text: string };

export interface MemberStep {
  readonly state: MemberState;
  readonly outputs: readonly MemberOutput[];
}

/** A worker that has neither a state nor a coordinator yet. */
export function newMember(worker: string): MemberState {
  return {
    worker,
    attached: false,
    standing: { at: "idle" },
    promised: noBallot,
    lastPlan: undefined,
    held: undefined,
  };
}

export function advanceMember(state: MemberState, input: MemberInput): MemberStep {
  if (state.standing.at === "done") return stay(state);
  switch (input.type) {
    case "connected":
      return { state: { ...state, attached: true }, outputs: [{ type: "hello" }] };
    case "disconnected":
      return stay({ ...state, attached: false });
    case "ready":
      return { state: { ...state, held: input.held }, outputs: [{ type: "heartbeat" }] };
    case "freeze":
      return onFreeze(state, input.ballot);
    case "plan":
      return onPlan(state, input.plan);
    case "synced":
      return onSynced(state, input.ballot, input.held);
    case "computed":
    case "reduced":
      return onStepPart(state, input);
    case "applied":
      return onApplied(state, input.held);
    case "state-lost":
      return onStateLost(state, input.why);
    case "unreachable":
      return onUnreachable(state, input);
    case "refused":
      return onRefused(state, input.promised);
    case "fault":
      return onFault(state, input);
    case "publish":
      return onPublish(state, input);
    case "artifacts":
      return onArtifacts(state, input.ballot, input.artifacts);
    case "done":
      return to(state, { at: "done", why: input.why }, { type: "exit", why: input.why });
  }
}

function onFreeze(state: MemberState, ballot: Ballot): MemberStep {
  const order = compareBallots(ballot, state.promised);
  if (order < 0) return note(state, `a freeze of ${formatBallot(ballot)} is older than the promise`);
  const { standing } = state;
  if (standing.at === "apply") return stay({ ...state, standing: { ...standing, freeze: ballot } });
  // The same ballot again: the answer was lost on the way, or the plan is there already and stands.
  if (order === 0 && standing.at !== "frozen" && standing.at !== "idle") return stay(state);
  return freeze(state, ballot);
}

function freeze(state: MemberState, ballot: Ballot): MemberStep {
  const { held } = state;
  const value: FrozenMessage = {
    ballot,
    hasState: held !== undefined,
    position: held?.position ?? 0,
    chain: held?.chain ?? 0n,
    lastPosition: held?.lastPosition ?? 0,
  };
  return to(
    { ...state, promised: ballot },
    { at: "frozen" },
    { type: "cancel", before: ballot },
    { type: "send", message: { $case: "frozen", value } },
  );
}

function onPlan(state: MemberState, plan: Plan): MemberStep {
  const order = compareBallots(plan.ballot, state.promised);
  if (order !== 0 || state.standing.at !== "frozen") {
    return note(state, `a plan of ${formatBallot(plan.ballot)} is not the one promised`);
  }
  const rank = rankOf(plan, state.worker);
  if (rank === undefined) {
    return to(state, { at: "idle" }, { type: "note", text: `${formatBallot(plan.ballot)} is without this worker` });
  }
  const position = plan.firstPosition - 1;
  const { held } = state;
  if (held !== undefined && held.position > position) {
    const message = { $case: "ahead", value: { ballot: plan.ballot, position: held.position } } as const;
    return { state, outputs: [{ type: "send", message }] };
  }
  const planned = { ...state, lastPlan: plan };
  const open: MemberOutput = { type: "open", plan, rank };
  if (held !== undefined && held.position === position) return proceed(planned, plan, rank, held, [open]);
  const source = plan.members[rank]?.stateSource ?? "";
  return to(planned, { at: "sync", plan, rank, position }, open, { type: "pull", plan, position, source });
}

function onSynced(state: MemberState, ballot: Ballot, held: Held): MemberStep {
  const { standing } = state;
  if (standing.at !== "sync" || !isOf(standing.plan, ballot) || held.position !== standing.position) return stay(state);
  return proceed({ ...state, held }, standing.plan, standing.rank, held, []);
}

/** compute -> reduce -> apply, of the present generation only. */
function onStepPart(state: MemberState, input: MemberInput & { type: "computed" | "reduced" }): MemberStep {
  const { standing } = state;
  if (standing.at !== "compute" && standing.at !== "reduce") return stay(state);
  const { plan, rank, position } = standing;
  if (!isOf(plan, input.ballot) || position !== input.position) return stay(state);
  if (input.type === "computed" && standing.at === "compute") {
    return to(state, { ...standing, at: "reduce" }, { type: "reduce", plan, rank, position });
  }
  if (input.type === "reduced" && standing.at === "reduce") {
    return to(state, { ...standing, at: "apply", freeze: undefined }, { type: "apply", position });
  }
  return stay(state);
}

function onApplied(state: MemberState, held: Held): MemberStep {
  const { standing } = state;
  if (standing.at !== "apply" || held.position !== standing.position) {
    throw new Error(`Position ${held.position} was applied by a member that is at ${standing.at}.`);
  }
  const applied = { ...state, held };
  if (standing.freeze !== undefined) return freeze(applied, standing.freeze);
  return proceed(applied, standing.plan, standing.rank, held, []);
}

/** On to the next position, or to HOLD at the job's last one or the plan's end. */
function proceed(state: MemberState, plan: Plan, rank: number, held: Held, first: readonly MemberOutput[]): MemberStep {
  const ended = plan.end !== undefined && held.position >= plan.end.position;
  if (ended || held.position >= held.lastPosition) {
    const why = ended ? (plan.end?.why ?? "") : "every position is applied";
    const hold: MemberOutput = { type: "hold", position: held.position, why };
    return to(state, { at: "hold", plan, rank, why }, ...first, hold, { type: "heartbeat" });
  }
  const position = held.position + 1;
  const compute: MemberOutput = { type: "compute", plan, rank, position };
  return to(state, { at: "compute", plan, rank, position }, ...first, compute);
}

/** Apply error: pos = none; the next Hello says so. */
function onStateLost(state: MemberState, why: string): MemberStep {
  const text = `no complete state is left: ${why}`;
  return to({ ...state, held: undefined }, { at: "idle" }, { type: "note", text }, { type: "reattach" });
}

function onUnreachable(state: MemberState, input: MemberInput & { type: "unreachable" }): MemberStep {
  const plan = planOf(state.standing);
  if (plan === undefined || !isOf(plan, input.ballot)) return stay(state);
  const value = { ballot: input.ballot, worker: input.who, why: input.why };
  // The position first: only what is applied after the suspicion speaks against it.
  return { state, outputs: [{ type: "heartbeat" }, { type: "send", message: { $case: "suspect", value } }] };
}

/** Others have moved on: a freeze was missed. Hello brings the coordinator to send it again. */
function onRefused(state: MemberState, promised: Ballot): MemberStep {
  if (compareBallots(promised, state.promised) <= 0 || state.standing.at === "apply") return stay(state);
  const text = `peers have promised ${formatBallot(promised)}`;
  return to(state, { at: "idle" }, { type: "cancel", before: promised }, { type: "note", text }, { type: "reattach" });
}

function onFault(state: MemberState, input: MemberInput & { type: "fault" }): MemberStep {
  const { sentence, jobFault } = input;
  const message = { $case: "failed", value: { sentence, jobFault } } as const;
  return to(state, { at: "halted", why: sentence }, { type: "send", message });
}

function onPublish(state: MemberState, input: MemberInput & { type: "publish" }): MemberStep {
  const { ballot, position, what } = input;
  if (compareBallots(ballot, state.promised) !== 0 || state.standing.at !== "hold") {
    return note(state, `publish under ${formatBallot(ballot)} is not of this member's generation`);
  }
  if (state.held?.position !== position) return note(state, `position ${position} is not held and not published`);
  return { state, outputs: [{ type: "make-artifacts", ballot, position, what }] };
}

function onArtifacts(state: MemberState, ballot: Ballot, artifacts: ArtifactName[]): MemberStep {
  if (compareBallots(ballot, state.promised) !== 0) return stay(state);
  const message = { $case: "published", value: { ballot, artifacts } } as const;
  return { state, outputs: [{ type: "send", message }] };
}

function planOf(standing: Standing): Plan | undefined {
  return "plan" in standing ? standing.plan : undefined;
}

function isOf(plan: Plan, ballot: Ballot): boolean {
  return compareBallots(plan.ballot, ballot) === 0;
}

function to(state: MemberState, standing: Standing, ...outputs: MemberOutput[]): MemberStep {
  return { state: { ...state, standing }, outputs };
}

function stay(state: MemberState): MemberStep {
  return { state, outputs: [] };
}

function note(state: MemberState, text: string): MemberStep {
  return { state, outputs: [{ type: "note", text }] };
}
