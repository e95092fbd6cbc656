import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import {
  duplexMethod,
  Heartbeat,
  Hello,
  membershipService,
  RpcError,
  type RunningServer,
  startServer,
  Status,
  type WorkerMessage,
  type WorkerOrder,
} from "@lockstep/rpc";
import { openLog } from "@lockstep/telemetry";
import { Control, type Order } from "./control.js";

const servers: RunningServer[] = [];
const controls: Control[] = [];

afterEach(async () => {
  for (const control of controls.splice(0)) await control.close(0);
  for (const server of servers.splice(0)) await server.stop(0);
});

type Answer = (
  messages: AsyncIterable<WorkerMessage>,
  send: (order: WorkerOrder) => Promise<void>,
  stream: number,
) => Promise<void>;

async function startCoordinator(answer: Answer): Promise<string> {
  let streams = 0;
  const attachWorker = duplexMethod<WorkerMessage, WorkerOrder>((messages, send) => answer(messages, send, streams++));
  const unused = () => undefined;
  const implementation = { attachWorker, attachShard: unused, manifest: unused };
  const server = await startServer({ services: [{ definition: membershipService, implementation }] });
  servers.push(server);
  return server.address;
}

function openControl(coordinator: string, order: (order: Order) => void = () => undefined) {
  const seen: string[] = [];
  const control: Control = new Control({
    coordinator,
    token: undefined,
    log: openLog({ source: "test", level: "error" }),
    connected: () => {
      seen.push("connected");
      control.send({ $case: "hello", value: Hello.create({ worker: "w" }) });
    },
    disconnected: () => seen.push("disconnected"),
    heartbeat: () => Heartbeat.create({ position: 9 }),
    order,
  });
  controls.push(control);
  return { control, seen };
}

async function casesOf(messages: AsyncIterable<WorkerMessage>, count: number): Promise<string[]> {
  const cases: string[] = [];
  for await (const { message } of messages) {
    cases.push(message?.$case ?? "");
    if (cases.length === count) break;
  }
  return cases;
}

describe("the control stream", () => {
  test("begins with Hello, and again after each loss", async () => {
    const firsts: string[] = [];
    const coordinator = await startCoordinator(async (messages, send, stream) => {
      firsts.push(...(await casesOf(messages, 1)));
      if (stream < 2) throw new RpcError(Status.UNAVAILABLE, "The coordinator restarts.");
      await send({ order: { $case: "done", value: { why: "third time" } } });
    });
    const done = new Promise<void>((resolve) => {
      const { control, seen } = openControl(coordinator, (order) => {
        assert.equal(order.$case, "done");
        assert.deepEqual(seen, ["connected", "disconnected", "connected", "disconnected", "connected"]);
        resolve();
      });
      void control.run();
    });
    await done;
    assert.deepEqual(firsts, ["hello", "hello", "hello"]);
  });

  test("ends at a refusal, with the coordinator's sentence", async () => {
    const coordinator = await startCoordinator(async () => {
      throw new RpcError(Status.FAILED_PRECONDITION, "This worker runs another engine.");
    });
    await assert.rejects(openControl(coordinator).control.run(), /This worker runs another engine/);
  });

  test("carries heartbeats at the interval asked for", async () => {
    let tell: (cases: string[]) => void;
    const heard = new Promise<string[]>((resolve) => (tell = resolve));
    const coordinator = await startCoordinator(async (messages) => tell(await casesOf(messages, 4)));
    const { control } = openControl(coordinator);
    void control.run();
    control.beatEvery(5);
    assert.deepEqual(await heard, ["hello", "heartbeat", "heartbeat", "heartbeat"]);
  });
});
