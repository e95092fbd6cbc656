// The workers' side is the member machine itself, on streams in memory; the wire's messages pass both ways.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  advanceMember,
  type MembershipOutput,
  type MemberInput,
  type MemberOutput,
  type MemberState,
  newMember,
  newMembership,
  readPlan,
  requireBallot,
} from "@lockstep/protocol";
import { Assignment, Hello, PositionRecord, RpcError, type WorkerMessage, type WorkerOrder } from "@lockstep/rpc";
import { Members, type MembersOptions } from "./members.js";

type Message = NonNullable<WorkerMessage["message"]>;
type Order = NonNullable<WorkerOrder["order"]>;

/** Messages that one side has said and the other reads. */
class Talk {
  readonly #said: WorkerMessage[] = [];
  #ended = false;
  #wake = (): void => undefined;

  say(message: Message): void {
    this.#said.push({ message });
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WorkerMessage> {
    for (;;) {
      const next = this.#said.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

const lastPosition = 4;
const record = (position: number) => PositionRecord.fromPartial({ position, chain: BigInt(position) });

/** A worker that computes nothing: sums are there as soon as they are asked for, up to position `upTo`. */
class SimulatedWorker {
  readonly orders: Order["$case"][] = [];
  state: MemberState;
  talk = new Talk();
  upTo = lastPosition;
  serving: Promise<void> = Promise.resolve();
  readonly #hello: Hello;

  constructor(name: string, processId: number, changes: Partial<Hello> = {}) {
    this.state = newMember(name);
    const fields = { worker: name, address: `${name}:1`, engineIdentity: "engine 1", build: "0.1.0", processId };
    this.#hello = Hello.fromPartial({ ...fields, ...changes });
  }

  attach(members: Members, changes: Partial<Hello> = {}): Promise<void> {
    this.talk = new Talk();
    const { held, promised, lastPlan } = this.state;
    const standing = { hasState: held !== undefined, position: held?.position ?? 0, chain: held?.chain ?? 0n };
    const hello = { ...this.#hello, ...standing, promised, lastPlan, ...changes };
    this.serving = members.serve(this.talk, (order) => Promise.resolve(this.obey(order.order)), hello);
    return this.serving;
  }

  obey(order: Order | undefined): void {
    if (order === undefined) return;
    this.orders.push(order.$case);
    switch (order.$case) {
      case "assignment":
        if (this.state.held !== undefined) return;
        return this.advance({ type: "ready", held: { position: 0, chain: 0n, lastPosition } });
      case "freeze":
        return this.advance({ type: "freeze", ballot: requireBallot(order.value.ballot) });
      case "plan":
        return this.advance({ type: "plan", plan: readPlan(order.value) });
      case "publish":
        return this.advance({ type: "publish", ...order.value, ballot: requireBallot(order.value.ballot) });
      case "done":
        return this.advance({ type: "done", why: order.value.why });
      case "acknowledge":
        return;
    }
  }

  advance(input: MemberInput): void {
    const { state, outputs } = advanceMember(this.state, input);
    this.state = state;
    for (const output of outputs) this.#do(output);
  }

  heartbeat(records: PositionRecord[] = []): void {
    const { held } = this.state;
    const standing = { hasState: held !== undefined, position: held?.position ?? 0, chain: held?.chain ?? 0n };
    const value = { ...standing, lastPosition, progress: 0, phase: "", records };
    this.talk.say({ $case: "heartbeat", value });
  }

  #do(output: MemberOutput): void {
    switch (output.type) {
      case "heartbeat":
        return this.heartbeat();
      case "send":
        return this.talk.say(output.message);
      case "compute": {
        const { plan, position } = output;
        if (position > this.upTo) return;
        this.advance({ type: "computed", ballot: plan.ballot, position });
        return this.advance({ type: "reduced", ballot: plan.ballot, position });
      }
      case "apply":
        this.advance({
          type: "applied",
          held: { position: output.position, chain: BigInt(output.position), lastPosition },
        });
        return this.heartbeat([record(output.position)]);
      case "make-artifacts":
        return this.advance({ type: "artifacts", ballot: output.ballot, artifacts: [] });
      case "exit":
        return this.talk.end();
      case "hello": // attach() has said it
      case "open":
      case "reduce": // compute goes on by itself
      case "cancel":
      case "hold":
      case "note":
        return;
      case "pull":
      case "reattach":
        throw new Error(`${output.type} is not simulated here`);
    }
  }
}

const shards = { version: 1, blockSamples: 64, addresses: ["s:1"], ownersPerBlock: 1, owners: [0] };

function newMembers(changes: Partial<MembersOptions> = {}) {
  const seen = { notes: [] as string[], records: [] as number[], plans: 0 };
  let closed: (output: Extract<MembershipOutput, { type: "closed" }>) => void = () => undefined;
  const ended = new Promise<Extract<MembershipOutput, { type: "closed" }>>((resolve) => (closed = resolve));
  const limits = { workersWanted: 2, patienceMs: 1_000, graceMs: 1_000, silenceMs: 1_000 };
  const members: Members = new Members({
    membership: newMembership({ ...limits, job: "job", incarnation: 1, microBatches: 4, shards }),
    assignment: Assignment.fromPartial({ job: "job", specHash: 7n }),
    strict: true,
    now: () => 0,
    processOf: (processId) => ({ name: `worker-${processId}`, order: processId }),
    records: (records) => {
      seen.records.push(...records.map((each) => each.position));
      return Math.max(...seen.records);
    },
    store: () => seen.plans++,
    storeArtifacts: () => members.advance({ type: "stored" }),
    closed,
    raiseIncarnation: (above) => above + 1,
    note: (text) => seen.notes.push(text),
    ...changes,
  });
  return { members, seen, ended };
}

/** The machine on the other side has read everything that was said. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("the workers of a job", () => {
  test("go from Hello to Done; records are taken and acknowledged", async () => {
    const { members, seen, ended } = newMembers();
    const workers = [new SimulatedWorker("a", 1), new SimulatedWorker("b", 2)];
    const streams = workers.map((worker) => worker.attach(members));
    const closed = await ended;
    await Promise.all(streams);
    assert.deepEqual([closed.outcome, closed.position, seen.plans], ["done", lastPosition, 1]);
    assert.deepEqual(new Set(seen.records), new Set([1, 2, 3, 4]));
    for (const worker of workers) {
      const told = worker.orders.filter((order) => order !== "acknowledge");
      const publish = worker.state.worker === "a" ? ["publish"] : [];
      assert.deepEqual(told, ["assignment", "freeze", "plan", ...publish, "done"]);
      assert.ok(worker.orders.includes("acknowledge"));
    }
  });

  test("have their ranks in the order of their launch, not of their arrival", async () => {
    let plan: string[] = [];
    const { members, ended } = newMembers({
      store: (stored) => (plan = stored.members.map((member) => member.worker)),
    });
    const streams = [new SimulatedWorker("late", 2), new SimulatedWorker("early", 1)].map((each) =>
      each.attach(members),
    );
    await ended;
    await Promise.all(streams);
    assert.deepEqual(plan, ["early", "late"]);
  });

  test("one that dies is lost at once when its process has ended, though its stream ended before", async () => {
    const { members, ended } = newMembers();
    const [first, second] = [new SimulatedWorker("a", 1), new SimulatedWorker("b", 2)];
    for (const worker of [first, second]) {
      worker.upTo = 2;
      void worker.attach(members);
    }
    await settled();
    second.talk.end();
    await second.serving;
    assert.equal(members.processEnded(2, "ended with SIGKILL"), true);
    const closed = await ended;
    assert.deepEqual([closed.outcome, closed.why, closed.position], ["failed", "worker-2 ended with SIGKILL", 2]);
    await first.serving;
  });

  test("a process that never attached is not theirs", () => {
    assert.equal(newMembers().members.processEnded(9, "ended"), false);
  });

  test("one that fails by itself is named; a fault of the job speaks for itself", async () => {
    for (const [jobFault, why] of [
      [false, "worker-1: the engine stopped"],
      [true, "the engine stopped"],
    ] as const) {
      const { members, ended } = newMembers();
      const workers = [new SimulatedWorker("a", 1), new SimulatedWorker("b", 2)];
      for (const worker of workers) {
        worker.upTo = 1;
        void worker.attach(members);
      }
      await settled();
      workers[0]?.talk.say({ $case: "failed", value: { sentence: "the engine stopped", jobFault } });
      assert.equal((await ended).why, why);
    }
  });

  test("one that attaches again hands over its ledger, and is told only what it missed", async () => {
    const { members, seen, ended } = newMembers();
    const workers = [new SimulatedWorker("a", 1), new SimulatedWorker("b", 2)];
    for (const worker of workers) {
      worker.upTo = 2;
      void worker.attach(members);
    }
    await settled();
    const [back, other] = workers;
    assert.ok(back !== undefined && other !== undefined);
    back.talk.end();
    await back.serving;
    back.orders.length = 0;
    seen.records.length = 0;
    void back.attach(members, { ledger: [record(2)] });
    await settled();
    assert.deepEqual(seen.records, [2]);
    assert.deepEqual(back.orders, ["assignment", "acknowledge"]);
    members.advance({ type: "stop", ending: { outcome: "cancelled", why: "cancelled" } });
    assert.equal((await ended).position, 2);
    await Promise.all([back.serving, other.serving]);
  });
});

describe("a worker is refused", () => {
  const refusal = (pattern: RegExp) => (error: unknown) => error instanceof RpcError && pattern.test(error.message);

  test("with another engine or build, unless determinism is relaxed", async () => {
    for (const changes of [{ engineIdentity: "engine 2" }, { build: "0.2.0" }]) {
      const { members } = newMembers();
      void new SimulatedWorker("a", 1).attach(members);
      await assert.rejects(new SimulatedWorker("b", 2, changes).attach(members), refusal(/engine 1, Lockstep 0\.1\.0/));
      const relaxed = newMembers({ strict: false });
      const workers = [new SimulatedWorker("a", 1), new SimulatedWorker("b", 2, changes)];
      const streams = workers.map((worker) => worker.attach(relaxed.members));
      assert.equal((await relaxed.ended).outcome, "done");
      await Promise.all(streams);
    }
  });

  test("with a state of another spec", async () => {
    const { members } = newMembers();
    await assert.rejects(new SimulatedWorker("a", 1, { specHash: 8n }).attach(members), refusal(/another spec/));
  });

  test("when the job has all that it wants", async () => {
    const { members } = newMembers();
    for (const number of [1, 2]) {
      const worker = new SimulatedWorker(`w${number}`, number);
      worker.upTo = 0;
      void worker.attach(members);
    }
    await assert.rejects(new SimulatedWorker("c", 3).attach(members), refusal(/has its 2 workers/));
  });

  test("that says Hello twice on one stream", async () => {
    const { members } = newMembers();
    const worker = new SimulatedWorker("a", 1);
    const stream = worker.attach(members);
    worker.talk.say({ $case: "hello", value: Hello.create() });
    await assert.rejects(stream, refusal(/once a stream/));
  });
});

test("a worker that has promised a newer incarnation raises this coordinator's above it", async () => {
  let raisedAbove = 0;
  const { members, ended } = newMembers({
    raiseIncarnation: (above) => {
      raisedAbove = above;
      return above + 1;
    },
  });
  const streams = [
    new SimulatedWorker("a", 1).attach(members),
    new SimulatedWorker("b", 2).attach(members, { promised: { incarnation: 5, counter: 3 } }),
  ];
  assert.equal((await ended).outcome, "done");
  assert.equal(raisedAbove, 5);
  await Promise.all(streams);
});
