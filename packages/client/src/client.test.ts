import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { JobPhase, jobService, RpcError, startServer, Status, streamMethod, unaryMethod } from "@lockstep/rpc";
import { InputError, type JobEvent, parseJobSpec } from "@lockstep/spec";
import { JobClient } from "./client.js";

const logged = (message: string): JobEvent => ({ type: "log", level: "info", source: "test", message });
const spec = parseJobSpec({ dataset: "/photos" }, { origin: "test", baseFolder: "/" });
const job = { job: "photos", phase: JobPhase.TRAINING, specJson: "", runFolder: "/runs/photos", reason: "" };

/** A job of five events whose stream breaks after every second one, and may repeat the one before. */
async function coordinator(
  context: TestContext,
  options: { breaks: boolean },
): Promise<{ client: JobClient; streams: number[] }> {
  const streams: number[] = [];
  const implementation = {
    submit: unaryMethod(() => {
      throw new InputError({ where: "job.yaml: seed", found: "-1", allowed: "0 or more" });
    }),
    explain: unaryMethod(({ specJson }: { specJson: string }) => ({ specJson, text: "text" })),
    get: unaryMethod(() => {
      throw new RpcError(Status.NOT_FOUND, 'There is no job "photos".');
    }),
    list: unaryMethod(() => ({ jobs: [{ ...job, summaryJson: "", exitCode: 0 }] })),
    cancel: unaryMethod(() => ({ ...job, summaryJson: "", exitCode: 0 })),
    watch: streamMethod(async function* ({ afterSequence }: { afterSequence: number }) {
      streams.push(afterSequence);
      const first = Math.max(1, afterSequence);
      for (let sequence = first; sequence <= 5; sequence++) {
        yield { sequence, eventJson: JSON.stringify(logged(String(sequence))) };
        if (options.breaks && sequence === afterSequence + 2) throw new RpcError(Status.UNAVAILABLE, "cut");
      }
    }),
  };
  const server = await startServer({ services: [{ definition: jobService, implementation }] });
  const client = new JobClient(server.address);
  context.after(async () => {
    client.close();
    await server.stop(0);
  });
  return { client, streams };
}

test("every event comes once and in order through a stream that breaks", async (context) => {
  const { client, streams } = await coordinator(context, { breaks: true });
  const messages: string[] = [];
  for await (const { event } of client.watch("photos")) messages.push((event as { message: string }).message);
  assert.deepEqual(messages, ["1", "2", "3", "4", "5"]);
  assert.deepEqual(streams, [0, 2, 4]);
});

test("watching starts after the event that is asked for", async (context) => {
  const { client } = await coordinator(context, { breaks: false });
  const sequences: number[] = [];
  for await (const { sequence } of client.watch("photos", 3)) sequences.push(sequence);
  assert.deepEqual(sequences, [4, 5]);
});

test("an abort ends watching with its reason", async (context) => {
  const { client } = await coordinator(context, { breaks: false });
  const abort = new AbortController();
  const reason = new Error("enough");
  const watching = (async () => {
    for await (const { sequence } of client.watch("photos", 0, abort.signal)) if (sequence === 2) abort.abort(reason);
  })();
  await assert.rejects(watching, reason);
});

test("a refused spec is an InputError with its three parts", async (context) => {
  const { client } = await coordinator(context, { breaks: false });
  await assert.rejects(client.submit({ spec, origin: "job.yaml" }), (thrown) => {
    assert.ok(thrown instanceof InputError);
    assert.deepEqual([thrown.where, thrown.found, thrown.allowed], ["job.yaml: seed", "-1", "0 or more"]);
    return true;
  });
});

test("a job that is not there is an error that names it", async (context) => {
  const { client } = await coordinator(context, { breaks: false });
  await assert.rejects(client.get("photos"), /There is no job "photos"/);
});

test("the spec travels as JSON, jobs come back", async (context) => {
  const { client } = await coordinator(context, { breaks: false });
  const reply = await client.explain({ spec, origin: "test" });
  assert.deepEqual(JSON.parse(reply.specJson), spec);
  assert.deepEqual(
    (await client.list()).map((each) => each.job),
    ["photos"],
  );
  assert.equal((await client.cancel("photos")).runFolder, "/runs/photos");
});

test("a coordinator that is not there is an error within the deadline", async () => {
  const client = new JobClient("127.0.0.1:1");
  await assert.rejects(client.list(), RpcError);
  client.close();
});
