// What single inputs do to a worker's machine. Whole conversations are in testdata.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Ballot, makePlan, type Plan } from "./generation.js";
import {
  advanceMember,
  type Held,
  type MemberInput,
  type MemberOutput,
  type MemberState,
  newMember,
} from "./member.js";

const first: Ballot = { incarnation: 1, counter: 1 };
const second: Ballot = { incarnation: 1, counter: 2 };
const held = (position: number): Held => ({ position, chain: BigInt(position), lastPosition: 10 });

function planOf(ballot: Ballot, firstPosition: number, changes: Partial<Plan> = {}): Plan {
  const run = [{ first: 0, end: 4 }];
  const members = ["a", "b"].map((worker) => ({
    worker,
    address: `${worker}:1`,
    runsAtFirst: run,
    runsLater: run,
    stateSource: "",
  }));
  const shards = { version: 1, blockSamples: 64, addresses: [], ownersPerBlock: 1, owners: [] };
  return makePlan({ job: "job", ballot, members, firstPosition, end: undefined, shards, ...changes });
}

/** State after all inputs; outputs of the last one. */
function after(...inputs: MemberInput[]): { state: MemberState; outputs: readonly MemberOutput[] } {
  let state = newMember("a");
  let outputs: readonly MemberOutput[] = [];
  for (const input of inputs) ({ state, outputs } = advanceMember(state, input));
  return { state, outputs };
}

const planned = (position = 0): MemberInput[] => [
  { type: "connected" },
  { type: "ready", held: held(position) },
  { type: "freeze", ballot: first },
  { type: "plan", plan: planOf(first, position + 1) },
];

const applying: MemberInput[] = [
  ...planned(),
  { type: "computed", ballot: first, position: 1 },
  { type: "reduced", ballot: first, position: 1 },
];

const types = (outputs: readonly MemberOutput[]) => outputs.map((output) => output.type);

describe("a member", () => {
  test("goes compute, reduce, apply, and on to the next position", () => {
    assert.deepEqual(types(after(...planned()).outputs), ["open", "compute"]);
    assert.deepEqual(types(after(...planned(), { type: "computed", ballot: first, position: 1 }).outputs), ["reduce"]);
    assert.deepEqual(after(...applying).outputs, [{ type: "apply", position: 1 }]);
    const next = after(...applying, { type: "applied", held: held(1) });
    assert.deepEqual(types(next.outputs), ["compute"]);
    assert.equal(next.state.held?.position, 1);
  });

  test("never reduces or applies what belongs to another generation or position", () => {
    const strays: MemberInput[] = [
      { type: "computed", ballot: second, position: 1 },
      { type: "computed", ballot: first, position: 2 },
      { type: "reduced", ballot: first, position: 1 }, // before it has computed
    ];
    for (const stray of strays) {
      const { state, outputs } = after(...planned(), stray);
      assert.deepEqual([state.standing.at, outputs.length], ["compute", 0]);
    }
    const late = after(
      ...planned(),
      { type: "computed", ballot: first, position: 1 },
      { type: "freeze", ballot: second },
      { type: "reduced", ballot: first, position: 1 },
    );
    assert.deepEqual([late.state.standing.at, late.outputs.length], ["frozen", 0]);
  });

  test("answers a freeze of a newer ballot with what it holds, and cancels older streams first", () => {
    const { state, outputs } = after(...planned(3), { type: "freeze", ballot: second });
    assert.equal(state.standing.at, "frozen");
    assert.deepEqual(outputs[0], { type: "cancel", before: second });
    const value = { ballot: second, hasState: true, position: 3, chain: 3n, lastPosition: 10 };
    assert.deepEqual(outputs[1], { type: "send", message: { $case: "frozen", value } });
  });

  test("ignores freezes and plans older than its promise", () => {
    const frozen: MemberInput[] = [...planned(), { type: "freeze", ballot: second }];
    for (const old of [
      { type: "freeze", ballot: first },
      { type: "plan", plan: planOf(first, 1) },
      { type: "plan", plan: planOf({ incarnation: 2, counter: 1 }, 1) }, // newer, but never promised
    ] as const) {
      const { state, outputs } = after(...frozen, old);
      assert.deepEqual([state.standing.at, state.promised, types(outputs)], ["frozen", second, ["note"]]);
    }
  });

  test("answers a repeated freeze again while it waits, and not once the plan is there", () => {
    const waiting = after(...planned(), { type: "freeze", ballot: second }, { type: "freeze", ballot: second });
    assert.deepEqual(types(waiting.outputs), ["cancel", "send"]);
    const working = after(...planned(), { type: "freeze", ballot: first });
    assert.deepEqual([working.state.standing.at, working.outputs.length], ["compute", 0]);
  });

  test("a freeze in the middle of applying is answered when the state is whole again", () => {
    const during = after(...applying, { type: "freeze", ballot: second });
    assert.deepEqual([during.state.standing.at, during.outputs.length], ["apply", 0]);
    const whole = after(...applying, { type: "freeze", ballot: second }, { type: "applied", held: held(1) });
    assert.equal(whole.state.standing.at, "frozen");
    const frozen = whole.outputs.find((output) => output.type === "send");
    assert.equal(frozen?.type === "send" && frozen.message.$case === "frozen" && frozen.message.value.position, 1);
  });

  test("applying that fails half-way leaves no state, and says so on a new stream", () => {
    const { state, outputs } = after(...applying, { type: "state-lost", why: "out of memory" });
    assert.equal(state.held, undefined);
    assert.deepEqual(types(outputs), ["note", "reattach"]);
    const frozen = advanceMember(state, { type: "freeze", ballot: second }).outputs[1];
    assert.equal(frozen?.type === "send" && frozen.message.$case === "frozen" && frozen.message.value.hasState, false);
  });

  test("pulls the state it lacks, and computes once it has it", () => {
    const behind = [
      { type: "connected" },
      { type: "ready", held: held(2) },
      { type: "freeze", ballot: first },
    ] as const;
    const plan = planOf(first, 4);
    const pulling = after(...behind, { type: "plan", plan });
    assert.deepEqual(types(pulling.outputs), ["open", "pull"]);
    const wrong = after(...behind, { type: "plan", plan }, { type: "synced", ballot: first, held: held(2) });
    assert.equal(wrong.state.standing.at, "sync");
    const level = after(...behind, { type: "plan", plan }, { type: "synced", ballot: first, held: held(3) });
    assert.deepEqual(types(level.outputs), ["compute"]);
  });

  test("ahead of its plan it says so and goes on waiting", () => {
    const { state, outputs } = after(
      ...planned(5),
      { type: "freeze", ballot: second },
      {
        type: "plan",
        plan: planOf(second, 5),
      },
    );
    assert.equal(state.standing.at, "frozen");
    assert.deepEqual(outputs, [{ type: "send", message: { $case: "ahead", value: { ballot: second, position: 5 } } }]);
  });

  test("holds at the job's last position and at the plan's end, and says so at once", () => {
    const last = after(...planned(10));
    assert.deepEqual(types(last.outputs), ["open", "hold", "heartbeat"]);
    const plan = planOf(second, 6, { end: { position: 5, why: "cancelled" } });
    const ended = after(...planned(5), { type: "freeze", ballot: second }, { type: "plan", plan });
    assert.deepEqual(ended.outputs[1], { type: "hold", position: 5, why: "cancelled" });
  });

  test("publishes only under its generation's ballot, only what it holds, only in hold", () => {
    const publish = (ballot: Ballot, position: number) =>
      ({ type: "publish", ballot, position, what: "final" }) as const;
    assert.deepEqual(types(after(...planned(10), publish(first, 10)).outputs), ["make-artifacts"]);
    for (const [inputs, order] of [
      [planned(10), publish(second, 10)],
      [planned(10), publish(first, 9)],
      [planned(3), publish(first, 3)],
    ] as const) {
      assert.deepEqual(types(after(...inputs, order).outputs), ["note"]);
    }
  });

  test("a fault of the job keeps the state: nothing is applied, the next freeze is answered", () => {
    const sentence = "step 1: the loss is not finite";
    const fault = after(
      ...planned(),
      { type: "computed", ballot: first, position: 1 },
      { type: "fault", sentence, jobFault: true },
    );
    assert.deepEqual(fault.outputs, [
      { type: "send", message: { $case: "failed", value: { sentence, jobFault: true } } },
    ]);
    const reduced = advanceMember(fault.state, { type: "reduced", ballot: first, position: 1 });
    assert.deepEqual([reduced.state.standing.at, reduced.outputs.length], ["halted", 0]);
    const frozen = advanceMember(reduced.state, { type: "freeze", ballot: second });
    assert.equal(frozen.state.standing.at, "frozen");
    assert.equal(frozen.state.held?.position, 0);
  });

  test("a fault of its own keeps the state too, and is told as its own", () => {
    const sentence = "the engine stopped";
    const fault = after(...planned(), { type: "fault", sentence, jobFault: false });
    assert.deepEqual(fault.outputs, [
      { type: "send", message: { $case: "failed", value: { sentence, jobFault: false } } },
    ]);
    const frozen = advanceMember(fault.state, { type: "freeze", ballot: second });
    assert.equal(frozen.state.held?.position, 0);
  });

  test("goes on without a control stream, and attaches again when peers have promised more", () => {
    const alone = after(...planned(), { type: "disconnected" }, { type: "computed", ballot: first, position: 1 });
    assert.deepEqual(types(alone.outputs), ["reduce"]);
    const refused = after(...planned(), { type: "refused", promised: second });
    assert.deepEqual([refused.state.standing.at, types(refused.outputs)], ["idle", ["cancel", "note", "reattach"]]);
  });

  test("leaves with done, and does nothing after it", () => {
    const { state, outputs } = after(...planned(10), { type: "done", why: "the job is done" });
    assert.deepEqual(types(outputs), ["exit"]);
    assert.deepEqual(advanceMember(state, { type: "freeze", ballot: second }).outputs, []);
  });
});
