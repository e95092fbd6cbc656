// What single inputs do to the coordinator's machine. Whole conversations are in testdata.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Ballot, noBallot } from "./generation.js";
import type { Held } from "./member.js";
import type { MembershipInput, MembershipOutput, MembershipState } from "./membership-state.js";
import { advanceMembership, newMembership } from "./membership.js";

const shards = { version: 1, blockSamples: 64, addresses: ["s"], ownersPerBlock: 1, owners: [0] };
const limits = { workersWanted: 2, patienceMs: 1_000, graceMs: 3_000, silenceMs: 10_000 };
const held = (position: number, chain = BigInt(position)): Held => ({ position, chain, lastPosition: 10 });
const ballot = (counter: number, incarnation = 1): Ballot => ({ incarnation, counter });

class Conversation {
  state: MembershipState = newMembership({ ...limits, job: "job", incarnation: 1, microBatches: 4, shards });
  nowMs = 0;

  says(...inputs: MembershipInput[]): MembershipOutput[] {
    return inputs.flatMap((input) => {
      const { state, outputs } = advanceMembership(this.state, input, this.nowMs);
      this.state = state;
      return outputs;
    });
  }

  /** Two workers, attached and ready; `planned`: both have answered freeze 1.1 at `position`. */
  static of(position: number, { planned = true } = {}): Conversation {
    const talk = new Conversation();
    talk.says(attach("a"), attach("b"));
    for (const worker of ["a", "b"]) talk.says({ type: "heartbeat", worker, held: held(position) });
    if (planned) for (const worker of ["a", "b"]) talk.says(frozen(worker, 1, held(position)));
    return talk;
  }
}

function attach(worker: string, changes: { held?: Held; promised?: Ballot; planHash?: bigint } = {}): MembershipInput {
  const order = worker.charCodeAt(0);
  const { held: state, promised = noBallot, planHash } = changes;
  const view = { worker, name: `worker-${worker}`, order, address: `${worker}:1`, promised, planHash };
  return { type: "attach", worker: { ...view, held: state } };
}

const frozen = (worker: string, counter: number, state: Held | undefined): MembershipInput => ({
  type: "frozen",
  worker,
  ballot: ballot(counter),
  held: state,
});

const stop: MembershipInput = { type: "stop", ending: { outcome: "cancelled", why: "cancelled by a person" } };
const types = (outputs: readonly MembershipOutput[]) =>
  outputs.map((output) => output.type).filter((type) => type !== "note");
const closedBy = (outputs: readonly MembershipOutput[]) => outputs.find((output) => output.type === "closed");
const planIn = (outputs: readonly MembershipOutput[]) => {
  const store = outputs.find((output) => output.type === "store");
  assert.ok(store?.type === "store");
  return store.plan;
};

describe("a generation", () => {
  test("begins only when all workers wanted are there with a state", () => {
    const talk = new Conversation();
    assert.deepEqual(talk.says(attach("a"), attach("b")), []);
    assert.deepEqual(talk.says({ type: "heartbeat", worker: "a", held: held(0) }), []);
    const outputs = talk.says({ type: "heartbeat", worker: "b", held: held(0) });
    assert.deepEqual(types(outputs), ["freeze", "freeze"]);
  });

  test("is stored before it is sent, only to those that answered, in their order", () => {
    const talk = Conversation.of(0, { planned: false });
    assert.deepEqual(types(talk.says(frozen("b", 1, held(0)))), []);
    const outputs = talk.says(frozen("a", 1, held(0)));
    assert.deepEqual(types(outputs), ["store", "plan", "plan"]);
    const plan = planIn(outputs);
    assert.deepEqual(
      plan.members.map((member) => member.worker),
      ["a", "b"],
    );
    assert.deepEqual([plan.firstPosition, plan.end, plan.ballot], [1, undefined, ballot(1)]);
  });

  test("takes no answer to another ballot, and the same answer once", () => {
    const talk = Conversation.of(0, { planned: false });
    const stray: MembershipInput = { type: "frozen", worker: "a", ballot: ballot(1, 2), held: held(0) };
    assert.deepEqual(talk.says(stray, frozen("b", 0, held(0)), frozen("a", 1, held(0)), frozen("a", 1, held(0))), []);
    assert.equal(talk.state.stage.at, "freeze");
  });

  test("a member that is ahead of its plan makes the next one begin after it (R5)", () => {
    const talk = Conversation.of(2);
    const ahead = talk.says({ type: "ahead", worker: "b", ballot: ballot(1) });
    assert.deepEqual(types(ahead), ["freeze", "freeze"]);
    const plan = planIn(talk.says(frozen("a", 2, held(2)), frozen("b", 2, held(3))));
    assert.equal(plan.firstPosition, 4);
    assert.deepEqual(
      plan.members.map((member) => member.stateSource),
      ["b:1", ""],
    );
  });
});

describe("an intervention", () => {
  test("is a ballot whose plan ends at the first position not before what members have applied", () => {
    const talk = Conversation.of(0);
    assert.deepEqual(types(talk.says(stop)), ["freeze", "freeze"]);
    const outputs = talk.says(frozen("a", 2, held(6)), frozen("b", 2, held(5)));
    const plan = planIn(outputs);
    assert.deepEqual([plan.ballot, plan.end], [ballot(2), { position: 6, why: "cancelled by a person" }]);
    assert.deepEqual(types(outputs), ["store", "plan", "publish"]);
  });

  test("while workers gather it closes the job at once", () => {
    const talk = new Conversation();
    talk.says(attach("a"));
    const outputs = talk.says(stop);
    assert.deepEqual(types(outputs), ["done", "closed"]);
    assert.deepEqual(closedBy(outputs), {
      type: "closed",
      outcome: "cancelled",
      why: "cancelled by a person",
      position: undefined,
    });
  });

  test("the first reason stands, whatever happens while the job ends", () => {
    const talk = Conversation.of(3);
    talk.says(stop, { type: "lost", worker: "b", why: "ended with SIGKILL" });
    talk.says(frozen("a", 2, held(3)));
    const published: MembershipInput = { type: "published", worker: "a", ballot: ballot(2), artifacts: [] };
    const closed = closedBy(talk.says(published, { type: "stored" }));
    assert.deepEqual(
      [closed?.type === "closed" && closed.outcome, closed?.type === "closed" && closed.position],
      ["cancelled", 3],
    );
  });

  test("comes too late once everything is applied", () => {
    const talk = Conversation.of(10);
    assert.equal(talk.state.stage.at, "finish");
    assert.deepEqual(talk.says(stop), []);
    const published: MembershipInput = { type: "published", worker: "a", ballot: ballot(1), artifacts: [] };
    const closed = closedBy(talk.says(published, { type: "stored" }));
    assert.equal(closed?.type === "closed" && closed.outcome, "done");
  });
});

describe("a lost member", () => {
  const freezeReason = (outputs: readonly MembershipOutput[]) =>
    outputs.flatMap((output) => (output.type === "note" ? [output.text] : [])).join();

  test("ends the job with one sentence that names it, and the rest save what they have", () => {
    const talk = Conversation.of(4);
    const outputs = talk.says({ type: "lost", worker: "b", why: "ended with SIGKILL" });
    assert.match(freezeReason(outputs), /worker-b ended with SIGKILL/);
    assert.deepEqual(planIn(talk.says(frozen("a", 2, held(4)))).end, {
      position: 4,
      why: "worker-b ended with SIGKILL",
    });
  });

  test("the last one closes the job with nothing saved", () => {
    const talk = Conversation.of(4);
    talk.says({ type: "lost", worker: "b", why: "ended" });
    const closed = closedBy(talk.says({ type: "lost", worker: "a", why: "ended" }));
    assert.deepEqual(
      [closed?.type === "closed" && closed.outcome, closed?.type === "closed" && closed.position],
      ["failed", undefined],
    );
  });

  test("who has announced to be quiet keeps a freeze open; a position that it applies ends the quiet", () => {
    const plansAfter = (nowMs: number, ...before: MembershipInput[]) => {
      const talk = Conversation.of(0);
      talk.says({ type: "announce", worker: "b", atMostMs: 60_000 }, ...before, stop, frozen("a", 2, held(4)));
      talk.nowMs = nowMs;
      return types(talk.says({ type: "heartbeat", worker: "a", held: held(4) }, { type: "tick" })).length > 0;
    };
    assert.equal(plansAfter(59_999), false);
    assert.equal(plansAfter(60_000), true);
    assert.equal(plansAfter(1_000, { type: "heartbeat", worker: "b", held: held(1) }), true);
  });

  test("who does not answer a freeze within the patience is left out", () => {
    const talk = Conversation.of(4);
    talk.says(stop, frozen("a", 2, held(4)));
    talk.nowMs = 1_000;
    assert.deepEqual(
      planIn(talk.says({ type: "tick" })).members.map((member) => member.worker),
      ["a"],
    );
  });

  test("silence counts only when no position advances, and not while it was announced", () => {
    const silentAt = (nowMs: number, ...before: MembershipInput[]) => {
      const talk = Conversation.of(0);
      talk.says(...before);
      talk.nowMs = nowMs;
      talk.says({ type: "heartbeat", worker: "a", held: held(0) });
      return /worker-b has been silent/.test(freezeReason(talk.says({ type: "tick" })));
    };
    assert.equal(silentAt(9_999), false);
    assert.equal(silentAt(10_000), true);
    assert.equal(silentAt(10_000, { type: "announce", worker: "b", atMostMs: 60_000 }), false);
    assert.equal(silentAt(70_001, { type: "announce", worker: "b", atMostMs: 60_000 }), true);
    const talk = Conversation.of(0);
    talk.nowMs = 10_000;
    talk.says({ type: "heartbeat", worker: "a", held: held(1) });
    assert.deepEqual(talk.says({ type: "tick" }), []);
  });

  test("suspicion that no later step refutes evicts the one named by most, then the highest rank", () => {
    const talk = new Conversation();
    talk.state = newMembership({ ...talk.state.options, workersWanted: 3 });
    const all = ["a", "b", "c"];
    for (const worker of all) talk.says(attach(worker), { type: "heartbeat", worker, held: held(0) });
    for (const worker of all) talk.says(frozen(worker, 1, held(0)));
    const suspect = (reporter: string, named: string): MembershipInput => ({
      type: "suspect",
      reporter,
      suspect: named,
      ballot: ballot(1),
      why: "silent",
    });
    talk.says(suspect("a", "b"), suspect("c", "b"), suspect("b", "c"));
    talk.nowMs = 1_000;
    assert.match(freezeReason(talk.says({ type: "tick" })), /worker-b cannot be reached by worker-a/);
  });
});

describe("the end", () => {
  test("a file that cannot be stored is asked of the next member; with none left the job fails", () => {
    const talk = Conversation.of(10);
    const notStored: MembershipInput = { type: "not-stored", why: "the stream broke" };
    assert.deepEqual(types(talk.says(notStored)), ["publish"]);
    const closed = closedBy(talk.says(notStored));
    assert.match(
      closed?.type === "closed" ? closed.why : "",
      /worker-b published could not be saved: the stream broke/,
    );
  });

  test("a writer that attaches again is asked again, but not while what it published is pulled", () => {
    const talk = Conversation.of(10);
    const back = attach("a", { held: held(10) });
    assert.ok(types(talk.says(back)).includes("publish"));
    const published: MembershipInput = { type: "published", worker: "a", ballot: ballot(1), artifacts: [] };
    assert.deepEqual(types(talk.says(published)), ["store-artifacts"]);
    assert.ok(!types(talk.says(back)).includes("publish"));
    assert.deepEqual(types(talk.says(published)), [], "nor is it pulled twice");
    assert.deepEqual(types(talk.says({ type: "not-stored", why: "the stream broke" })), ["publish"]);
  });

  test("members that stand at one position with different chains stop the job, and nothing is written", () => {
    const talk = Conversation.of(0);
    talk.says(stop);
    const outputs = talk.says(frozen("a", 2, held(5)), frozen("b", 2, held(5, 99n)));
    assert.deepEqual(types(outputs), ["done", "done", "closed"]);
    const closed = closedBy(outputs);
    assert.match(
      closed?.type === "closed" ? closed.why : "",
      /worker-a and worker-b hold different states after position 5/,
    );
  });

  test("whoever attaches to a closed job is sent away", () => {
    const talk = new Conversation();
    talk.says(stop);
    assert.deepEqual(types(talk.says(attach("late"))), ["done"]);
  });
});

describe("attaching again", () => {
  test("repeats what the worker has missed: a freeze, a plan, nothing", () => {
    const freezing = Conversation.of(0, { planned: false });
    const again = attach("a", { held: held(0) });
    assert.deepEqual(types(freezing.says({ type: "detached", worker: "a" }, again)), ["freeze"]);
    const steady = Conversation.of(0);
    assert.deepEqual(types(steady.says(attach("a", { held: held(0), promised: ballot(1) }))), ["plan"]);
    const { stage } = steady.state;
    assert.ok(stage.at === "steady");
    const known = attach("a", { held: held(3), promised: ballot(1), planHash: stage.plan.planHash });
    assert.deepEqual(steady.says(known), []);
  });

  test("does not end the job early, although Hello does not say how long it is", () => {
    const talk = Conversation.of(0);
    talk.says(attach("a", { held: held(3), promised: ballot(1) }), attach("b", { held: held(3), promised: ballot(1) }));
    assert.deepEqual(talk.says({ type: "heartbeat", worker: "b", held: held(4) }), []);
    assert.equal(talk.state.stage.at, "steady");
  });

  test("with a promise of a newer incarnation it makes this coordinator raise its own above it (R4)", () => {
    const talk = new Conversation();
    talk.says(attach("a", { held: held(2) }));
    const raise = talk.says(attach("b", { held: held(2), promised: ballot(7, 5) }));
    assert.deepEqual(raise, [{ type: "raise-incarnation", above: 5 }]);
    const freezes = talk.says({ type: "incarnation", incarnation: 6 });
    assert.deepEqual(freezes.at(-1), { type: "freeze", worker: "b", ballot: ballot(1, 6) });
  });

  test("without its state it counts as lost", () => {
    const talk = Conversation.of(3);
    const outputs = talk.says(attach("b", { promised: ballot(1) }));
    assert.match(
      outputs.map((output) => (output.type === "note" ? output.text : "")).join(),
      /worker-b has lost its state/,
    );
  });
});
