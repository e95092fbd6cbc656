import assert from "node:assert/strict";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { describe, test } from "node:test";
import { InputError } from "@lockstep/spec";
import {
  DataServiceClient,
  JobServiceClient,
  MembershipServiceClient,
  RpcError,
  Status,
  callUnary,
  dataService,
  duplexMethod,
  jobService,
  membershipService,
  openClient,
  readStream,
  startServer,
  streamMethod,
  unaryMethod,
  Batch,
  Job,
  type BatchesRequest,
  type ServedService,
  type WorkerMessage,
  type WorkerOrder,
} from "./index.js";
import { formatAddress, isLoopback, parseAddress } from "./address.js";
import { tokenMatches } from "./token.js";

const unused = () => {
  throw new Error("not part of this test");
};

/** A JobService whose Get does what the test says. */
function jobs(get: (job: string) => Promise<Job> | Job): ServedService {
  const answer = unaryMethod((request: { job: string }) => get(request.job));
  const others = { submit: unused, explain: unused, list: unused, watch: unused, cancel: unused };
  return { definition: jobService, implementation: { ...others, get: answer } };
}

async function getJob(address: string, options: { token?: string; tries?: number; signal?: AbortSignal } = {}) {
  const client = openClient(JobServiceClient, address, { token: options.token });
  try {
    const limits = { what: "Get", deadlineMs: 5_000, tries: options.tries ?? 1, signal: options.signal };
    return await callUnary(client.get.bind(client), { job: "digits" }, limits);
  } finally {
    client.close();
  }
}

describe("addresses", () => {
  test("host:port and bracketed IPv6 are read and written back", () => {
    for (const text of ["127.0.0.1:0", "localhost:7000", "[::1]:65535"]) {
      assert.equal(formatAddress(parseAddress(text, "--listen")), text);
    }
  });
  test("anything else is refused, naming the flag", () => {
    for (const text of ["", "7000", "host:", "host:70000", "::1:7000", "[127.0.0.1]:1", "a b:1", "http://a:1"]) {
      assert.throws(
        () => parseAddress(text, "--listen"),
        (error) => error instanceof InputError && error.where === "--listen",
      );
    }
  });
  test("loopback is 127.0.0.0/8, ::1 and localhost, and nothing else", () => {
    for (const host of ["127.0.0.1", "127.8.9.1", "::1", "localhost"]) assert.equal(isLoopback(host), true, host);
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.example.org", "::ffff:1.2.3.4"]) {
      assert.equal(isLoopback(host), false, host);
    }
  });
});

describe("a listener", () => {
  test("beyond loopback without a token is refused with advice", async () => {
    await assert.rejects(startServer({ services: [], listen: "0.0.0.0:0" }), (error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, /LOCKSTEP_TOKEN/);
      return true;
    });
  });
  const duplex = { attachWorker: unused, attachShard: unused, manifest: unused };
  const servedBy: readonly [string, ServedService[]][] = [
    ["bulk-server", []],
    ["grpc-js", [{ definition: membershipService, implementation: duplex }]],
  ];
  for (const [server, services] of servedBy) {
    test(`of ${server} on a port in use, or elsewhere, says so in one clear sentence`, async () => {
      const first = await startServer({ services });
      const sentenceOf = (listen: string) =>
        startServer({ services, listen, token: "secret" }).then(
          () => assert.fail(`${listen} was listened on`),
          (error: unknown) => (error instanceof InputError ? error.message : assert.fail(String(error))),
        );
      const allowed = "allowed: a free port on an address of this machine";
      assert.equal(
        await sentenceOf(first.address),
        `--listen: found "${first.address}", which cannot be listened on: the port is in use; ${allowed}`,
      );
      assert.equal(
        await sentenceOf("192.0.2.1:0"),
        `--listen: found "192.0.2.1:0", which cannot be listened on: it is not an address of this machine; ${allowed}`,
      );
      await first.stop(0);
    });
  }
  test("with a token refuses calls without it and with another one, and takes the right one", async () => {
    const server = await startServer({
      services: [jobs((job) => Job.create({ job }))],
      listen: "0.0.0.0:0",
      token: "secret",
    });
    const address = server.address.replace("0.0.0.0", "127.0.0.1");
    for (const token of [undefined, "secreT", "secret2"]) {
      const attempt = getJob(address, token === undefined ? {} : { token });
      await assert.rejects(attempt, (error) => error instanceof RpcError && error.code === Status.UNAUTHENTICATED);
    }
    assert.equal((await getJob(address, { token: "secret" })).job, "digits");
    await server.stop(0);
  });
  test("on IPv6 loopback serves", async (t) => {
    if (
      !Object.values(networkInterfaces())
        .flat()
        .some((face) => face?.address === "::1")
    ) {
      return t.skip("THIS MACHINE HAS NO IPv6 LOOPBACK");
    }
    const server = await startServer({ services: [jobs((job) => Job.create({ job }))], listen: "[::1]:0" });
    assert.match(server.address, /^\[::1\]:\d+$/);
    assert.equal((await getJob(server.address)).job, "digits");
    await server.stop(0);
  });
  test("is reached directly whatever the proxy variables say", async () => {
    const saved = process.env.http_proxy;
    process.env.http_proxy = "http://127.0.0.1:9"; // nothing listens there
    process.env.grpc_proxy = "http://127.0.0.1:9";
    const server = await startServer({ services: [jobs((job) => Job.create({ job }))] });
    try {
      assert.equal((await getJob(server.address)).job, "digits");
    } finally {
      if (saved === undefined) delete process.env.http_proxy;
      else process.env.http_proxy = saved;
      delete process.env.grpc_proxy;
      await server.stop(0);
    }
  });
});

test("an empty or missing token never matches", () => {
  assert.equal(tokenMatches("", undefined), false);
  assert.equal(tokenMatches("secret", undefined), false);
  assert.equal(tokenMatches("secret", ""), false);
  assert.equal(tokenMatches("secret", "secret"), true);
});

describe("errors", () => {
  const failing: { thrown: Error; check: (error: unknown) => void }[] = [
    {
      thrown: new InputError({ where: "job.yaml: épochs", found: "-1", allowed: "1 or more" }),
      check: (error) => {
        assert.ok(error instanceof InputError);
        assert.equal(error.where, "job.yaml: épochs");
        assert.equal(error.message, "job.yaml: épochs: found -1; allowed: 1 or more");
      },
    },
    {
      thrown: new RpcError(Status.NOT_FOUND, "There is no job digits."),
      check: (error) => {
        assert.ok(error instanceof RpcError);
        assert.equal(error.codeName, "NOT_FOUND");
        assert.equal(error.message, "Get: There is no job digits.");
      },
    },
    {
      thrown: new Error("the disk is full\n    at file.ts:1"),
      check: (error) => {
        assert.ok(error instanceof RpcError);
        assert.equal(error.code, Status.INTERNAL);
        assert.equal(error.message, "Get: the disk is full");
      },
    },
  ];
  for (const { thrown, check } of failing) {
    test(`${thrown.name} reaches the caller as itself, as one sentence`, async () => {
      const server = await startServer({ services: [jobs(() => Promise.reject(thrown))] });
      await assert.rejects(getJob(server.address), (error) => {
        check(error);
        return true;
      });
      await server.stop(0);
    });
  }
});

describe("a unary call", () => {
  test("is repeated while the service is unavailable, as often as asked", async () => {
    let calls = 0;
    const service = jobs((job) => {
      calls++;
      if (calls < 3) throw new RpcError(Status.UNAVAILABLE, "not yet");
      return Job.create({ job });
    });
    const server = await startServer({ services: [service] });
    await assert.rejects(getJob(server.address, { tries: 2 }), /not yet/);
    calls = 0;
    assert.equal((await getJob(server.address, { tries: 3 })).job, "digits");
    assert.equal(calls, 3);
    await server.stop(0);
  });
  test("ends when its signal is aborted", async () => {
    const abort = new AbortController();
    const server = await startServer({
      services: [
        jobs(() => {
          abort.abort(new Error("enough"));
          return new Promise<Job>(() => undefined);
        }),
      ],
    });
    await assert.rejects(getJob(server.address, { signal: abort.signal }), /enough/);
    await server.stop(0);
  });
});

describe("a server stream", () => {
  const request: BatchesRequest = {
    job: "digits",
    datasetDigest: "",
    shardMapVersion: 1,
    shard: 0,
    unreachable: [],
    firstPosition: 1,
    endPosition: 2,
    runFirst: [],
    runEnd: [],
  };
  const batches = (answer: Parameters<typeof streamMethod<BatchesRequest, Batch>>[0]): ServedService => ({
    definition: dataService,
    implementation: { batches: streamMethod(answer) },
  });

  test("arrives whole and in order, bytes and all", async () => {
    const server = await startServer({
      services: [
        batches(async function* () {
          for (let microBatch = 0; microBatch < 20; microBatch++) {
            yield Batch.create({ microBatch, labels: [microBatch], pixels: new Uint8Array(200_000).fill(microBatch) });
          }
        }),
      ],
    });
    const client = openClient(DataServiceClient, server.address);
    let expected = 0;
    for await (const batch of readStream((options) => client.batches(request, options), { what: "Batches" })) {
      assert.equal(batch.microBatch, expected);
      assert.equal(batch.pixels.byteLength, 200_000);
      assert.ok(batch.pixels.every((byte) => byte === expected));
      expected++;
    }
    assert.equal(expected, 20);
    client.close();
    await server.stop(0);
  });

  test("that nobody reads stops its sender, and cancelling tells it", async () => {
    let sent = 0;
    const gone = new AbortController();
    const server = await startServer({
      services: [
        batches(async function* (_request, context) {
          context.signal.addEventListener("abort", () => gone.abort());
          for (;;) {
            sent++;
            yield Batch.create({ pixels: new Uint8Array(4 << 20) });
          }
        }),
      ],
    });
    const client = openClient(DataServiceClient, server.address);
    for await (const batch of readStream((options) => client.batches(request, options), { what: "Batches" })) {
      assert.equal(batch.pixels.byteLength, 4 << 20);
      break;
    }
    if (!gone.signal.aborted) await once(gone.signal, "abort");
    assert.ok(sent < 64, `${sent} messages of 4 MiB made for one that was read`);
    client.close();
    await server.stop(0);
  });

  test("throws its error after the messages before it", async () => {
    const server = await startServer({
      services: [
        batches(async function* () {
          yield Batch.create({ microBatch: 7 });
          throw new RpcError(Status.FAILED_PRECONDITION, "cat.png changed since the job began.");
        }),
      ],
    });
    const client = openClient(DataServiceClient, server.address);
    const seen: number[] = [];
    await assert.rejects(async () => {
      for await (const batch of readStream((options) => client.batches(request, options), { what: "Batches" })) {
        seen.push(batch.microBatch);
      }
    }, /Batches: cat.png changed/);
    assert.deepEqual(seen, [7]);
    client.close();
    await server.stop(0);
  });
});

test("a stream both ways answers each message, and ends when the caller ends", async () => {
  const server = await startServer({
    services: [
      {
        definition: membershipService,
        implementation: {
          attachShard: unused,
          manifest: unused,
          attachWorker: duplexMethod<WorkerMessage, WorkerOrder>(async (messages, send) => {
            for await (const { message } of messages) {
              if (message?.$case !== "leave") continue;
              await send({ order: { $case: "done", value: { why: message.value.why } } });
            }
          }),
        },
      },
    ],
  });
  const client = openClient(MembershipServiceClient, server.address);
  const call = client.attachWorker();
  for (const why of ["one", "two"]) call.write({ message: { $case: "leave", value: { why } } });
  call.end();
  const answers: string[] = [];
  for await (const { order } of call as AsyncIterable<WorkerOrder>) {
    if (order?.$case === "done") answers.push(order.value.why);
  }
  assert.deepEqual(answers, ["one", "two"]);
  client.close();
  await server.stop(0);
});
