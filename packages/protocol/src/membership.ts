// The coordinator's machine: PROTOCOL's second table as a pure function. Time is an input; what comes out is for the caller to
// do, in order. A plan is stored before it is sent: "store" comes before the sends that depend on it.
//
//   gather -enough attached-> freeze -all answered-> steady -all at the end-> finish -published-> closed
//   steady -stop or a member's loss-> freeze(b+1) -> finish
//
// A lost member ends the job: what is trained is published from the member that is furthest on.

import { dealRuns } from "./deal.js";
import { type Ballot, compareBallots, formatBallot, makePlan, type Plan, type ShardMap } from "./generation.js";
import type { Held } from "./member.js";

/** A worker with an open control stream, and what it last said. */
export interface Attached {
  readonly worker: string;
  readonly address: string;
  readonly held: Held | undefined;
  readonly promised: Ballot;
}

/** Why the job is to end before its last position. */
export interface Stop {
  readonly why: string;
  /** False: a person asked for it. */
  readonly failed: boolean;
}

export type Stage =
  /** Waits for `workersWanted` workers: all or nothing. */
  | { readonly at: "gather" }
  /** Freeze(ballot) is sent; answers by worker. After the deadline those that answered decide. */
  | { readonly at: "freeze"; readonly answers: ReadonlyMap<string, Held | undefined>; readonly deadlineMs: number }
  | { readonly at: "steady"; readonly plan: Plan }
  /** The writer publishes S(position). */
  | { readonly at: "finish"; readonly writer: string; readonly position: number }
  | { readonly at: "closed" };

export interface MembershipState {
  readonly job: string;
  readonly microBatches: number;
  readonly workersWanted: number;
  readonly patienceMs: number;
  /** The newest ballot that was opened; its incarnation is this process's. */
  readonly ballot: Ballot;
  readonly stage: Stage;
  readonly attached: ReadonlyMap<string, Attached>;
  readonly shards: ShardMap;
  readonly stop: Stop | undefined;
}

export type MembershipInput =
  | { readonly type: "attach"; readonly worker: Attached }
  /** The control stream is gone for good: the process is dead, or did not come back in time. */
  | { readonly type: "lost"; readonly worker: string; readonly why: string }
  | { readonly type: "heartbeat"; readonly worker: string; readonly held: Held | undefined }
  | { readonly type: "frozen"; readonly worker: string; readonly ballot: Ballot; readonly held: Held | undefined }
  /** A person's wish, a deadline, a fault of the job: a ballot follows. */
  | { readonly type: "stop"; readonly stop: Stop }
  | { readonly type: "published"; readonly worker: string }
  | { readonly type: "tick" };

export type MembershipOutput =
  | { readonly type: "freeze"; readonly worker: string; readonly ballot: Ballot }
  /** Make durable before anything after it is done. */
  | { readonly type: "store"; readonly plan: Plan }
  | { readonly type: "plan"; readonly worker: string; readonly plan: Plan }
  | { readonly type: "publish"; readonly worker: string; readonly ballot: Ballot; readonly position: number }
  /** Nothing can be published: no member has a state. */
  | { readonly type: "nothing-to-publish" }
  | { readonly type: "done"; readonly worker: string; readonly why: string }
  /** Decisions with their reasons, for log and events. */
  | { readonly type: "note"; readonly text: string };

export interface MembershipStep {
  readonly state: MembershipState;
  readonly outputs: readonly MembershipOutput[];
}

export interface MembershipOptions {
  readonly job: string;
  /** Raised at every start of the coordinator's process (R4). */
  readonly incarnation: number;
  readonly microBatches: number;
  readonly workersWanted: number;
  readonly patienceMs: number;
  readonly shards: ShardMap;
}

export function newMembership(options: MembershipOptions): MembershipState {
  const { incarnation, ...rest } = options;
  return {
    ...rest,
    ballot: { incarnation, counter: 0 },
    stage: { at: "gather" },
    attached: new Map(),
    stop: undefined,
  };
}

export function advanceMembership(state: MembershipState, input: MembershipInput, nowMs: number): MembershipStep {
  switch (input.type) {
    case "attach":
      return onAttach(state, input.worker, nowMs);
    case "lost":
      return onLost(state, input.worker, input.why, nowMs);
    case "heartbeat":
      return onHeld(state, input.worker, input.held);
    case "frozen":
      return onFrozen(state, input.worker, input.ballot, input.held);
    case "stop":
      return onStop(state, input.stop, nowMs);
    case "published":
      return onPublished(state, input.worker);
    case "tick":
      return onTick(state, nowMs);
  }
}

function onAttach(state: MembershipState, worker: Attached, nowMs: number): MembershipStep {
  const attached = new Map(state.attached).set(worker.worker, worker);
  const next = { ...state, attached };
  if (state.stage.at !== "gather" || attached.size < state.workersWanted) return { state: next, outputs: [] };
  return openBallot(next, `${attached.size} workers are here`, nowMs);
}

function onLost(state: MembershipState, worker: string, why: string, nowMs: number): MembershipStep {
  if (!state.attached.has(worker) || state.stage.at === "closed") return stay(state);
  const attached = new Map(state.attached);
  attached.delete(worker);
  const next = { ...state, attached };
  if (state.stage.at === "finish" && state.stage.writer !== worker) return { state: next, outputs: [] };
  return onStop(
    { ...next, stage: state.stage.at === "finish" ? { at: "gather" } : state.stage },
    { why, failed: true },
    nowMs,
  );
}

function onHeld(state: MembershipState, worker: string, held: Held | undefined): MembershipStep {
  const known = state.attached.get(worker);
  if (known === undefined) return stay(state);
  const attached = new Map(state.attached).set(worker, { ...known, held });
  return finishIfAtEnd({ ...state, attached });
}

function onFrozen(state: MembershipState, worker: string, ballot: Ballot, held: Held | undefined): MembershipStep {
  const known = state.attached.get(worker);
  if (known === undefined || state.stage.at !== "freeze" || compareBallots(ballot, state.ballot) !== 0)
    return stay(state);
  const attached = new Map(state.attached).set(worker, { ...known, held, promised: ballot });
  const answers = new Map(state.stage.answers).set(worker, held);
  const next = { ...state, attached, stage: { ...state.stage, answers } };
  return answers.size === attached.size ? decide(next, answers) : { state: next, outputs: [] };
}

function onStop(state: MembershipState, stop: Stop, nowMs: number): MembershipStep {
  if (state.stage.at === "closed" || state.stage.at === "finish") return stay(state);
  // The first reason stands; a failure overrides a wish.
  const kept = state.stop === undefined || (stop.failed && !state.stop.failed) ? stop : state.stop;
  const next = { ...state, stop: kept };
  if (state.stage.at === "freeze" && [...state.stage.answers.keys()].every((worker) => state.attached.has(worker))) {
    if (state.stage.answers.size === state.attached.size) return decide(next, state.stage.answers);
    return { state: next, outputs: [] };
  }
  return openBallot(next, kept.why, nowMs);
}

function onPublished(state: MembershipState, worker: string): MembershipStep {
  if (state.stage.at !== "finish" || state.stage.writer !== worker) return stay(state);
  const why = state.stop?.why ?? "the job is done";
  return {
    state: { ...state, stage: { at: "closed" } },
    outputs: [...state.attached.keys()].map((each) => ({ type: "done", worker: each, why })),
  };
}

function onTick(state: MembershipState, nowMs: number): MembershipStep {
  if (state.stage.at !== "freeze" || nowMs < state.stage.deadlineMs) return stay(state);
  const { answers } = state.stage;
  const silent = [...state.attached.keys()].filter((worker) => !answers.has(worker));
  const stop = state.stop ?? {
    why: `no answer to freeze ${formatBallot(state.ballot)} from ${silent.join(", ")}`,
    failed: true,
  };
  return decide({ ...state, stop }, answers);
}

function openBallot(state: MembershipState, reason: string, nowMs: number): MembershipStep {
  const ballot = { ...state.ballot, counter: state.ballot.counter + 1 };
  const next: MembershipState = {
    ...state,
    ballot,
    stage: { at: "freeze", answers: new Map(), deadlineMs: nowMs + state.patienceMs },
  };
  if (state.attached.size === 0) return decide(next, new Map());
  const freezes = [...state.attached.keys()].map((worker) => ({ type: "freeze", worker, ballot }) as const);
  return { state: next, outputs: [{ type: "note", text: `freeze ${formatBallot(ballot)}: ${reason}` }, ...freezes] };
}

/** From answers to Freeze alone: a plan, or the end. */
function decide(state: MembershipState, answers: ReadonlyMap<string, Held | undefined>): MembershipStep {
  const members = [...answers]
    .filter(([worker, held]) => held !== undefined && state.attached.has(worker))
    .map(([worker, held]) => ({ worker, held: held as Held }))
    .toSorted((a, b) => (a.worker < b.worker ? -1 : 1));
  if (members.length === 0) return { state: { ...state, stage: { at: "closed" } }, outputs: nothingLeft(state) };
  const newest = members.reduce((best, each) => (each.held.position > best.held.position ? each : best));
  const unlike = members.find(
    (each) => each.held.position === newest.held.position && each.held.chain !== newest.held.chain,
  );
  if (unlike !== undefined) {
    const why = `${unlike.worker} and ${newest.worker} hold different states of position ${newest.held.position}`;
    return publish({ ...state, stop: { why, failed: true } }, newest.worker, newest.held.position);
  }
  // A job that failed is not planned again: the state that is there is saved.
  if (state.stop?.failed === true) return publish(state, newest.worker, newest.held.position);
  const plan = planFor(
    state,
    members.map((each) => each.worker),
    newest.held.position,
  );
  const sends = members.map(({ worker }) => ({ type: "plan", worker, plan }) as const);
  const text = `plan ${formatBallot(plan.ballot)}: ${members.length} members, from position ${plan.firstPosition}`;
  const planned: MembershipState = { ...state, stage: { at: "steady", plan } };
  const outputs: MembershipOutput[] = [{ type: "note", text }, { type: "store", plan }, ...sends];
  const finished = finishIfAtEnd(planned);
  return { state: finished.state, outputs: [...outputs, ...finished.outputs] };
}

function planFor(state: MembershipState, workers: readonly string[], position: number): Plan {
  const runs = dealRuns(state.microBatches, workers.length);
  const members = workers.map((worker, rank) => {
    const run = [runs[rank] as (typeof runs)[number]];
    const address = (state.attached.get(worker) as Attached).address;
    return { worker, address, runsAtFirst: run, runsLater: run, stateSource: "" };
  });
  const end = state.stop === undefined ? undefined : { position, why: state.stop.why };
  const { job, ballot, shards } = state;
  return makePlan({ job, ballot, members, firstPosition: position + 1, end, shards });
}

/** STEADY -> FINISH once every member stands at F; at a plan's end, once the furthest does. */
function finishIfAtEnd(state: MembershipState): MembershipStep {
  if (state.stage.at !== "steady") return stay(state);
  const { plan } = state.stage;
  const held = plan.members.map((member) => state.attached.get(member.worker)?.held);
  const atEnd = (each: Held | undefined) =>
    each !== undefined && each.position >= (plan.end?.position ?? each.lastPosition);
  const stopped = plan.end !== undefined && plan.end.position < plan.firstPosition;
  if (!(stopped ? held.some(atEnd) : held.every(atEnd))) return stay(state);
  const rank = held.findIndex(atEnd);
  return publish(state, (plan.members[rank] as (typeof plan.members)[number]).worker, (held[rank] as Held).position);
}

function publish(state: MembershipState, writer: string, position: number): MembershipStep {
  return {
    state: { ...state, stage: { at: "finish", writer, position } },
    outputs: [
      { type: "note", text: `${writer} publishes position ${position}` },
      { type: "publish", worker: writer, ballot: state.ballot, position },
    ],
  };
}

function nothingLeft(state: MembershipState): MembershipOutput[] {
  const why = state.stop?.why ?? "no worker is left";
  const dones = [...state.attached.keys()].map((worker) => ({ type: "done", worker, why }) as const);
  return [{ type: "nothing-to-publish" }, ...dones];
}

function stay(state: MembershipState): MembershipStep {
  return { state, outputs: [] };
}
