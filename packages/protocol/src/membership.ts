/**
 * The coordinator's machine: PROTOCOL's second table as a pure function. Time is an input; outputs are for the caller to do, in
 * order: a plan is stored before it is sent because "store" comes before its "plan"s.
 *
 *   gather --all wanted are ready--> freeze(b) --all answered--> steady(b) --all at F or plan.end--> finish --stored--> closed
 *                                       ^                            |
 *                                       `---- stop, a lost member ---'  (b+1, and its plan ends where the furthest stand)
 *
 * In this version a lost member ends the job: `onLoss` is the one place that says so. What is trained is saved as long as one
 * worker with the furthest state is left.
 */
import { formPlan } from "./forming.js";
import { type Ballot, compareBallots, formatBallot, type Plan, rankOf } from "./generation.js";
import type { Held } from "./member.js";
import type {
  Attaching,
  Ending,
  MembershipInput,
  MembershipOptions,
  MembershipOutput,
  MembershipState,
  MembershipStep,
  Stage,
  Suspicion,
  WorkerView,
} from "./membership-state.js";

export function newMembership(options: MembershipOptions): MembershipState {
  return {
    options,
    ballot: { incarnation: options.incarnation, counter: 0 },
    stage: { at: "gather" },
    workers: new Map(),
    suspicions: [],
    advancedMs: 0,
    ending: undefined,
  };
}

export function advanceMembership(state: MembershipState, input: MembershipInput, nowMs: number): MembershipStep {
  if (state.stage.at === "closed") return input.type === "attach" ? sendAway(state, input.worker.worker) : stay(state);
  switch (input.type) {
    case "attach":
      return onAttach(state, input.worker, nowMs);
    case "incarnation":
      return onIncarnation(state, input.incarnation, nowMs);
    case "heartbeat":
      return onHeartbeat(state, input.worker, input.held, nowMs);
    case "announce":
      return stay(withWorker(state, input.worker, { heardMs: nowMs, quietUntilMs: nowMs + input.atMostMs }));
    case "frozen":
      return onFrozen(state, input, nowMs);
    case "ahead":
      if (state.stage.at !== "steady" || !isCurrent(state, input.ballot)) return stay(state);
      return openBallot(state, `${nameOf(state, input.worker)} is ahead of its plan`, nowMs);
    case "suspect":
      return onSuspect(state, input, nowMs);
    case "detached":
      return stay(withWorker(state, input.worker, { detachedMs: nowMs }));
    case "lost":
      return onLost(state, input.worker, input.why, nowMs);
    case "stop":
      return onStop(state, input.ending, nowMs);
    case "published":
      return onPublished(state, input);
    case "stored":
      return state.stage.at === "finish" ? close(state, state.stage.position) : stay(state);
    case "not-stored":
      return onNotStored(state, input.why);
    case "tick":
      return onTick(state, nowMs);
  }
}

function onAttach(state: MembershipState, worker: Attaching, nowMs: number): MembershipStep {
  const lastPosition = state.workers.get(worker.worker)?.held?.lastPosition ?? Infinity;
  const held = worker.held === undefined ? undefined : { ...worker.held, lastPosition };
  const view: WorkerView = { ...worker, held, heardMs: nowMs, quietUntilMs: nowMs, detachedMs: undefined };
  const next = { ...state, workers: new Map(state.workers).set(worker.worker, view) };
  if (compareBallots(worker.promised, state.ballot) > 0) {
    return { state: next, outputs: [{ type: "raise-incarnation", above: worker.promised.incarnation }] };
  }
  const { stage } = next;
  switch (stage.at) {
    case "gather":
      return beginIfReady(next, nowMs);
    case "freeze": {
      const asked = [...new Set([...stage.asked, worker.worker])];
      const freeze: MembershipOutput = { type: "freeze", worker: worker.worker, ballot: state.ballot };
      return { state: { ...next, stage: { ...stage, asked } }, outputs: [freeze] };
    }
    case "steady":
    case "finish":
      return onReturn(next, view, stage.plan, nowMs);
    case "closed":
      return sendAway(next, worker.worker);
  }
}

/** A worker whose control stream is open again: what it missed is said once more. */
function onReturn(state: MembershipState, view: WorkerView, plan: Plan, nowMs: number): MembershipStep {
  const { worker } = view;
  if (rankOf(plan, worker) === undefined) {
    return noted(state, `${view.name} came after the generation was formed and is not used`);
  }
  if (view.held === undefined) return onLost(state, worker, "has lost its state", nowMs);
  const outputs: MembershipOutput[] = [];
  if (view.planHash !== plan.planHash) outputs.push({ type: "plan", worker, plan });
  if (state.stage.at === "finish" && state.stage.writer === worker && !state.stage.storing) {
    outputs.push({ type: "publish", worker, ballot: state.ballot, position: state.stage.position });
  }
  return { state, outputs };
}

function onIncarnation(state: MembershipState, incarnation: number, nowMs: number): MembershipStep {
  const raised = { ...state, ballot: { incarnation, counter: 0 } };
  if (state.stage.at === "gather") return beginIfReady(raised, nowMs);
  return openBallot(raised, "a worker had promised a newer incarnation", nowMs);
}

function beginIfReady(state: MembershipState, nowMs: number): MembershipStep {
  const ready = [...state.workers.values()].filter((view) => view.held !== undefined && view.detachedMs === undefined);
  if (ready.length < state.options.workersWanted) return stay(state);
  return openBallot(state, `all ${ready.length} workers are ready`, nowMs);
}

function onHeartbeat(state: MembershipState, worker: string, held: Held | undefined, nowMs: number): MembershipStep {
  const known = state.workers.get(worker);
  if (known === undefined) return stay(state);
  const grew = (held?.position ?? 0) > (known.held?.position ?? 0);
  // A position that is applied ends what was announced before it: sessions are there.
  const quietUntilMs = grew ? nowMs : known.quietUntilMs;
  const heard = withWorker(state, worker, { held, heardMs: nowMs, quietUntilMs });
  // Whoever applies a position has heard every member (I3): what it suspected before falls.
  const suspicions = state.suspicions.filter((each) => each.reporter !== worker);
  const next = grew ? { ...heard, advancedMs: nowMs, suspicions } : heard;
  return next.stage.at === "gather" ? beginIfReady(next, nowMs) : finishIfAtEnd(next);
}

function onFrozen(state: MembershipState, input: MembershipInput & { type: "frozen" }, nowMs: number): MembershipStep {
  const { stage } = state;
  const { worker, ballot, held } = input;
  if (stage.at !== "freeze" || !isCurrent(state, ballot) || !stage.asked.includes(worker)) return stay(state);
  const heard = withWorker(state, worker, { held, promised: ballot, heardMs: nowMs });
  const answered = [...new Set([...stage.answered, worker])];
  return planIfAnswered({ ...heard, stage: { ...stage, answered } });
}

function onSuspect(
  state: MembershipState,
  input: MembershipInput & { type: "suspect" },
  nowMs: number,
): MembershipStep {
  if (state.stage.at !== "steady" || !isCurrent(state, input.ballot)) return stay(state);
  const { reporter, suspect, why } = input;
  const known = state.suspicions.some((each) => each.reporter === reporter && each.suspect === suspect);
  if (known) return stay(state);
  const suspicions = [...state.suspicions, { reporter, suspect, why, sinceMs: nowMs }];
  const text = `${nameOf(state, reporter)} cannot reach ${nameOf(state, suspect)}: ${why}`;
  return noted({ ...state, suspicions }, text);
}

function onLost(state: MembershipState, worker: string, why: string, nowMs: number): MembershipStep {
  const view = state.workers.get(worker);
  if (view === undefined) return stay(state);
  const workers = new Map(state.workers);
  workers.delete(worker);
  return onLoss({ ...state, workers }, view, why, nowMs);
}

/** The one place that decides what a lost member means: here, that the job ends with what is trained. */
function onLoss(state: MembershipState, lost: WorkerView, why: string, nowMs: number): MembershipStep {
  const { stage } = state;
  const ending: Ending = { outcome: "failed", why: `${lost.name} ${why}` };
  switch (stage.at) {
    case "finish":
      return stage.writer === lost.worker ? nextWriter(state, ending.why) : stay(state);
    case "freeze": {
      const left = (names: readonly string[]) => names.filter((each) => each !== lost.worker);
      const frozen = { ...stage, asked: left(stage.asked), answered: left(stage.answered) };
      return planIfAnswered({ ...state, stage: frozen, ending: state.ending ?? ending });
    }
    case "steady":
      return rankOf(stage.plan, lost.worker) === undefined ? stay(state) : onStop(state, ending, nowMs);
    case "gather":
    case "closed":
      return onStop(state, ending, nowMs);
  }
}

function onStop(state: MembershipState, ending: Ending, nowMs: number): MembershipStep {
  // Everything is trained: only the files are missing.
  if (state.stage.at === "finish") return stay(state);
  const next = { ...state, ending: state.ending ?? ending };
  if (state.stage.at === "gather") return close(next, undefined);
  if (state.stage.at === "steady") return openBallot(next, next.ending.why, nowMs);
  return stay(next);
}

function openBallot(state: MembershipState, reason: string, nowMs: number): MembershipStep {
  const ballot = { ...state.ballot, counter: state.ballot.counter + 1 };
  const asked = [...state.workers.keys()];
  const stage: Stage = { at: "freeze", asked, answered: [], sinceMs: nowMs };
  const frozen = planIfAnswered({ ...state, ballot, suspicions: [], stage });
  const text = `freeze ${formatBallot(ballot)}: ${reason}`;
  const freezes = asked.map((worker): MembershipOutput => ({ type: "freeze", worker, ballot }));
  return { state: frozen.state, outputs: [{ type: "note", text }, ...freezes, ...frozen.outputs] };
}

function planIfAnswered(state: MembershipState): MembershipStep {
  const { stage } = state;
  if (stage.at !== "freeze" || !stage.asked.every((worker) => stage.answered.includes(worker))) return stay(state);
  return plan(state, stage.answered);
}

function plan(state: MembershipState, answered: readonly string[]): MembershipStep {
  const { job, microBatches, shards } = state.options;
  const answers = answered.flatMap((worker) => state.workers.get(worker) ?? []);
  const formed = formPlan({ job, ballot: state.ballot, microBatches, shards, stop: state.ending?.why }, answers);
  if (formed.type === "alarm") return close({ ...state, ending: { outcome: "failed", why: formed.reason } }, undefined);
  if (formed.type === "nothing") {
    return close({ ...state, ending: state.ending ?? { outcome: "failed", why: formed.reason } }, undefined);
  }
  const sends = formed.plan.members.map(({ worker }): MembershipOutput => ({
    type: "plan",
    worker,
    plan: formed.plan,
  }));
  const planned = finishIfAtEnd({ ...state, stage: { at: "steady", plan: formed.plan } });
  const note: MembershipOutput = { type: "note", text: formed.reason };
  return { state: planned.state, outputs: [note, { type: "store", plan: formed.plan }, ...sends, ...planned.outputs] };
}

/** Every member stands at F, or at the plan's end. */
function finishIfAtEnd(state: MembershipState): MembershipStep {
  if (state.stage.at !== "steady") return stay(state);
  const { plan } = state.stage;
  const held = plan.members.map(({ worker }) => state.workers.get(worker)?.held);
  const position = plan.end?.position ?? Math.max(...held.map((each) => each?.lastPosition ?? Infinity));
  if (!held.every((each) => each !== undefined && each.position >= position)) return stay(state);
  return nextWriter({ ...state, stage: { at: "finish", plan, position, writer: "", tried: [], storing: false } }, "");
}

/** One writer publishes; another takes over where it cannot (R17). */
function nextWriter(state: MembershipState, why: string): MembershipStep {
  if (state.stage.at !== "finish") return stay(state);
  const { plan, position, writer } = state.stage;
  const tried = writer === "" ? [] : [...state.stage.tried, writer];
  const next = plan.members.find(({ worker }) => state.workers.has(worker) && !tried.includes(worker));
  if (next === undefined) return close({ ...state, ending: { outcome: "failed", why } }, undefined);
  return {
    state: { ...state, stage: { ...state.stage, writer: next.worker, tried, storing: false } },
    outputs: [
      { type: "note", text: `${nameOf(state, next.worker)} publishes position ${position}` },
      { type: "publish", worker: next.worker, ballot: state.ballot, position },
    ],
  };
}

function onPublished(state: MembershipState, input: MembershipInput & { type: "published" }): MembershipStep {
  const { stage } = state;
  const { worker, ballot, artifacts } = input;
  if (stage.at !== "finish" || stage.writer !== worker || stage.storing) return stay(state);
  if (!isCurrent(state, ballot)) return stay(state);
  const outputs: MembershipOutput[] = [{ type: "store-artifacts", worker, position: stage.position, artifacts }];
  return { state: { ...state, stage: { ...stage, storing: true } }, outputs };
}

function onNotStored(state: MembershipState, why: string): MembershipStep {
  if (state.stage.at !== "finish") return stay(state);
  return nextWriter(state, `What ${nameOf(state, state.stage.writer)} published could not be saved: ${why}`);
}

function onTick(state: MembershipState, nowMs: number): MembershipStep {
  const { stage, options } = state;
  const silent = [...state.workers.values()].find((view) => silence(state, view, nowMs) !== undefined);
  if (silent !== undefined) return onLost(state, silent.worker, silence(state, silent, nowMs) ?? "", nowMs);
  if (stage.at === "freeze" && nowMs - stage.sinceMs >= options.patienceMs) {
    const missing = stage.asked.filter((worker) => !stage.answered.includes(worker));
    // Announced quiet is not silence (R8): the freeze stays open for as long as it lasts.
    if (missing.some((worker) => (state.workers.get(worker)?.quietUntilMs ?? 0) > nowMs)) return stay(state);
    const why = `${missing.map((worker) => nameOf(state, worker)).join(", ")} did not answer in time`;
    return plan({ ...state, ending: state.ending ?? { outcome: "failed", why } }, stage.answered);
  }
  const old = state.suspicions.filter((each) => nowMs - each.sinceMs >= options.patienceMs);
  if (stage.at !== "steady" || old.length === 0) return stay(state);
  const { suspect, reporter, why } = mostSuspected(old, stage.plan);
  const sentence = `cannot be reached by ${nameOf(state, reporter)}: ${why}`;
  return state.workers.has(suspect)
    ? onLost(state, suspect, sentence, nowMs)
    : onStop(state, { outcome: "failed", why: `${suspect} ${sentence}` }, nowMs);
}

/** Why this worker counts as lost (R8), if it does. A worker that is only cut off from here works on (R13). */
function silence(state: MembershipState, view: WorkerView, nowMs: number): string | undefined {
  const { graceMs, silenceMs } = state.options;
  if (nowMs - state.advancedMs < graceMs) return undefined;
  if (view.detachedMs !== undefined && nowMs - view.detachedMs >= graceMs) return "lost its connection";
  const sinceMs = Math.max(view.heardMs, view.quietUntilMs, state.advancedMs);
  if (nowMs - sinceMs < silenceMs) return undefined;
  return `has been silent for ${Math.round((nowMs - view.heardMs) / 1000)} s`;
}

/** R13: the one named by most, then the highest rank. */
function mostSuspected(suspicions: readonly Suspicion[], plan: Plan): Suspicion {
  const votes = (suspect: string) => suspicions.filter((each) => each.suspect === suspect).length;
  const rank = (suspect: string) => rankOf(plan, suspect) ?? -1;
  return suspicions.reduce((worst, each) => {
    const difference = votes(each.suspect) - votes(worst.suspect) || rank(each.suspect) - rank(worst.suspect);
    return difference > 0 ? each : worst;
  });
}

function close(state: MembershipState, position: number | undefined): MembershipStep {
  const outcome = state.ending?.outcome ?? "done";
  const why = state.ending?.why ?? "every position is applied and saved";
  const dones = [...state.workers.keys()].map((worker): MembershipOutput => ({ type: "done", worker, why }));
  const closed: MembershipOutput = { type: "closed", outcome, why, position };
  return { state: { ...state, stage: { at: "closed" } }, outputs: [...dones, closed] };
}

function sendAway(state: MembershipState, worker: string): MembershipStep {
  return { state, outputs: [{ type: "done", worker, why: state.ending?.why ?? "the job is closed" }] };
}

function isCurrent(state: MembershipState, ballot: Ballot): boolean {
  return compareBallots(state.ballot, ballot) === 0;
}

function withWorker(state: MembershipState, worker: string, change: Partial<WorkerView>): MembershipState {
  const view = state.workers.get(worker);
  if (view === undefined) return state;
  return { ...state, workers: new Map(state.workers).set(worker, { ...view, ...change }) };
}

function nameOf(state: MembershipState, worker: string): string {
  return state.workers.get(worker)?.name ?? worker;
}

function noted(state: MembershipState, text: string): MembershipStep {
  return { state, outputs: [{ type: "note", text }] };
}

function stay(state: MembershipState): MembershipStep {
  return { state, outputs: [] };
}
