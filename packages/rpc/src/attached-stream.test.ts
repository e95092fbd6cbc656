import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import {
  AttachedStream,
  duplexMethod,
  Heartbeat,
  Hello,
  MembershipServiceClient,
  membershipService,
  openClient,
  RpcError,
  type RunningServer,
  startServer,
  Status,
  type WorkerMessage,
  type WorkerOrder,
} from "./index.js";

type Message = NonNullable<WorkerMessage["message"]>;
type Order = NonNullable<WorkerOrder["order"]>;

const servers: RunningServer[] = [];
const closings: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closings.splice(0)) await close();
  for (const server of servers.splice(0)) await server.stop(0);
});

type Answer = (
  messages: AsyncIterable<WorkerMessage>,
  send: (order: WorkerOrder) => Promise<void>,
  stream: number,
) => Promise<void>;

/** A coordinator that answers stream 0, 1, 2, ... as the test says. */
async function startCoordinator(answer: Answer): Promise<string> {
  let streams = 0;
  const attachWorker = duplexMethod<WorkerMessage, WorkerOrder>((messages, send) => answer(messages, send, streams++));
  const unused = () => undefined;
  const implementation = { attachWorker, attachShard: unused, manifest: unused };
  const server = await startServer({ services: [{ definition: membershipService, implementation }] });
  servers.push(server);
  return server.address;
}

function attach(coordinator: string, order: (order: Order) => void = () => undefined) {
  const seen: string[] = [];
  const client = openClient(MembershipServiceClient, coordinator);
  const stream: AttachedStream<Message, Order> = new AttachedStream<Message, Order>({
    open: (options) => client.attachWorker(options),
    connected: () => {
      seen.push("connected");
      stream.send({ $case: "hello", value: Hello.create({ worker: "w" }) });
    },
    disconnected: () => seen.push("disconnected"),
    heartbeat: () => ({ $case: "heartbeat", value: Heartbeat.create({ position: 9 }) }),
    order,
    warn: () => undefined,
    waitMs: { least: 1, most: 2 },
  });
  closings.push(async () => {
    await stream.close(0);
    client.close();
  });
  return { stream, seen };
}

async function casesOf(messages: AsyncIterable<WorkerMessage>, count: number): Promise<string[]> {
  const cases: string[] = [];
  for await (const { message } of messages) {
    cases.push(message?.$case ?? "");
    if (cases.length === count) break;
  }
  return cases;
}

const done: WorkerOrder = { order: { $case: "done", value: { why: "enough" } } };

describe("an attached stream", { timeout: 20_000 }, () => {
  test("begins with Hello, and again after each loss", async () => {
    const firsts: string[] = [];
    const coordinator = await startCoordinator(async (messages, send, stream) => {
      firsts.push(...(await casesOf(messages, 1)));
      if (stream < 2) throw new RpcError(Status.UNAVAILABLE, "The coordinator restarts.");
      await send(done);
    });
    await new Promise<void>((resolve) => {
      const { stream, seen } = attach(coordinator, (order) => {
        assert.equal(order.$case, "done");
        assert.deepEqual(seen, ["connected", "disconnected", "connected", "disconnected", "connected"]);
        resolve();
      });
      void stream.run();
    });
    assert.deepEqual(firsts, ["hello", "hello", "hello"]);
  });

  for (const refusal of ["FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED"] as const) {
    test(`ends at once at ${refusal}, with the coordinator's sentence`, async () => {
      let streams = 0;
      const coordinator = await startCoordinator(async () => {
        streams++;
        throw new RpcError(Status[refusal], "This worker runs another engine.");
      });
      await assert.rejects(attach(coordinator).stream.run(), /This worker runs another engine/);
      assert.equal(streams, 1);
    });
  }

  for (const failure of ["INTERNAL", "RESOURCE_EXHAUSTED", "UNKNOWN"] as const) {
    test(`ends with the coordinator's sentence after five answers ${failure} without an order`, async () => {
      let streams = 0;
      const coordinator = await startCoordinator(async () => {
        streams++;
        throw new RpcError(Status[failure], "The store is damaged.");
      });
      await assert.rejects(attach(coordinator).stream.run(), (error) => {
        assert.ok(error instanceof RpcError);
        assert.equal(error.code, Status[failure]);
        assert.match(error.message, /The store is damaged/);
        return true;
      });
      assert.equal(streams, 5);
    });
  }

  test("goes on through failures with orders between them, and for ever while nobody is there", async () => {
    const coordinator = await startCoordinator(async (_messages, send, stream) => {
      if (stream >= 20) return send(done);
      if (stream >= 10) throw new RpcError(Status.UNAVAILABLE, "The job does not take workers yet.");
      if (stream % 4 === 3) await send({ order: { $case: "acknowledge", value: { position: stream } } });
      throw new RpcError(Status.INTERNAL, "The coordinator stumbles.");
    });
    await new Promise<void>((resolve, reject) => {
      const { stream } = attach(coordinator, (order) => (order.$case === "done" ? resolve() : undefined));
      stream.run().catch(reject);
    });
  });

  test("that this side cuts to attach again does not count as a failure", async () => {
    let streams = 0;
    const coordinator = await startCoordinator(async (messages, send, stream) => {
      streams++;
      if (stream >= 8) await send(done);
      await casesOf(messages, Number.POSITIVE_INFINITY);
    });
    await new Promise<void>((resolve, reject) => {
      const { stream, seen } = attach(coordinator, () => resolve());
      stream.run().catch(reject);
      const cut = setInterval(() => (streams < 9 ? stream.reattach() : clearInterval(cut)), 1);
      closings.push(async () => clearInterval(cut));
      assert.deepEqual(seen, ["connected"]);
    });
  });

  test("carries heartbeats at the interval asked for", async () => {
    let tell: (cases: string[]) => void;
    const heard = new Promise<string[]>((resolve) => (tell = resolve));
    const coordinator = await startCoordinator(async (messages) => tell(await casesOf(messages, 4)));
    const { stream } = attach(coordinator);
    void stream.run();
    stream.beatEvery(5);
    assert.deepEqual(await heard, ["hello", "heartbeat", "heartbeat", "heartbeat"]);
  });
});
