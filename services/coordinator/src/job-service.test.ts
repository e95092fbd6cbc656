// The service over gRPC, with processes that end at once: what a client is told when a job cannot run.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import {
  callUnary,
  type JobEvent as JobEventMessage,
  JobPhase,
  JobServiceClient,
  MembershipServiceClient,
  openClient,
  readStream,
  RpcError,
  startServer,
  Status,
} from "@lockstep/rpc";
import { InputError, type JobEvent, parseJobSpec } from "@lockstep/spec";
import { openLog } from "@lockstep/telemetry";
import { attachService } from "./attach.js";
import { Jobs } from "./job-service.js";
import type { Launcher } from "./launch/launcher.js";
import { Store } from "./store/database.js";

const timeout = 30_000;

/** Every process ends as soon as it is started. */
const crashing: Launcher = {
  launch: ({ name }) => ({
    name,
    processId: 0,
    ended: Promise.resolve({ ok: false, how: "ended with exit code 1", lastLines: ["thrown:", "no such module"] }),
    stop: () => Promise.resolve(),
  }),
};

/** Every process starts and says nothing. */
const mute: Launcher = {
  launch: ({ name }) => ({ name, processId: 0, ended: new Promise(() => undefined), stop: () => Promise.resolve() }),
};

async function coordinator(t: TestContext, launcher: Launcher) {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-jobs-"));
  const store = new Store(join(folder, "store.sqlite"));
  const log = openLog({ source: "test", level: "error", write: () => undefined });
  const runsFolder = join(folder, "runs");
  const jobs = new Jobs({ store, launcher, runsFolder, token: undefined, log });
  const server = await startServer({ services: [jobs.service, attachService(jobs)] });
  jobs.address = server.address;
  const client = openClient(JobServiceClient, server.address);
  t.after(async () => {
    await jobs.close("the test is over");
    client.close();
    await server.stop(100);
    store.close();
    rmSync(folder, { recursive: true });
  });
  const limits = (what: string) => ({ what, deadlineMs: timeout });
  const submit = (spec: object) =>
    callUnary(client.submit.bind(client), { specJson: JSON.stringify(spec), origin: "job.yaml" }, limits("Submit"));
  const get = (job: string) => callUnary(client.get.bind(client), { job }, limits("Get"));
  const cancel = (job: string) => callUnary(client.cancel.bind(client), { job }, limits("Cancel"));
  const watch = async (job: string): Promise<JobEvent[]> => {
    const events: JobEvent[] = [];
    const open = () => client.watch({ job, afterSequence: 0 });
    for await (const { eventJson } of readStream<JobEventMessage>(open, limits("Watch"))) {
      events.push(JSON.parse(eventJson) as JobEvent);
    }
    return events;
  };
  return { folder, runsFolder, server, submit, get, cancel, watch };
}

function digits(folder: string): object {
  const header = (...words: number[]) => Buffer.from(Uint32Array.from(words).buffer).swap32();
  const labels = Buffer.from(Uint8Array.from({ length: 40 }, (_, i) => i % 2));
  writeFileSync(
    join(folder, "train-images-idx3-ubyte"),
    Buffer.concat([header(0x803, 40, 8, 8), Buffer.alloc(40 * 64, 9)]),
  );
  writeFileSync(join(folder, "train-labels-idx1-ubyte"), Buffer.concat([header(0x801, 40), labels]));
  return parseJobSpec(
    { name: "digits", dataset: { path: folder }, model: { architecture: "simple-cnn" } },
    { origin: "job.yaml", baseFolder: "/" },
  );
}

const hasCode = (code: Status) => (error: unknown) => error instanceof RpcError && error.code === code;

describe("the job service", () => {
  test(
    "refuses a bad spec with the field, what was found and what is allowed; no run folder is made",
    { timeout },
    async (t) => {
      const { submit, runsFolder } = await coordinator(t, crashing);
      const isInput = (error: unknown) => error instanceof InputError && /job\.yaml: .*epochs/.test(error.message);
      await assert.rejects(submit({ dataset: { path: "/x" }, training: { epochs: 0 } }), isInput);
      await assert.rejects(submit({ dataset: { path: "/nowhere" } }), InputError);
      assert.equal(existsSync(runsFolder), false);
    },
  );

  test("a crashed process fails the job with its last lines, and the job stays known", { timeout }, async (t) => {
    const { submit, watch, get, folder, runsFolder } = await coordinator(t, crashing);
    const { job, runFolder } = await submit(digits(folder));
    assert.deepEqual([job, runFolder], ["digits", join(runsFolder, "digits")]);
    const events = await watch(job);
    assert.equal(events[0]?.type, "job");
    const last = events.at(-1);
    assert.ok(last?.type === "error");
    assert.equal(last.message, "data-shard-1 ended with exit code 1");
    assert.deepEqual(last.lastLines, ["thrown:", "no such module"]);
    assert.equal(last.exitCode, 3);
    const ended = await get(job);
    assert.equal(ended.reason, last.message);
    assert.deepEqual([ended.phase, ended.exitCode], [JobPhase.FAILED, 3]);
    assert.deepEqual(await watch(job), events, "told again from the store");
    assert.equal((await submit(digits(folder))).job, "digits-2");
  });

  test(
    "a job whose files turn out to be no images leaves no folder, and its name to the next try",
    { timeout },
    async (t) => {
      const { submit, watch, get, folder, runsFolder } = await coordinator(t, mute);
      for (const name of ["ant", "bee"]) {
        mkdirSync(join(folder, "animals", name), { recursive: true });
        for (let i = 0; i < 10; i++) writeFileSync(join(folder, "animals", name, `${i}.png`), "");
      }
      const animals = { name: "animals", dataset: { path: join(folder, "animals") }, model: "simple-cnn" };
      for (let attempt = 1; attempt <= 2; attempt++) {
        const { job } = await submit(animals);
        assert.equal(job, "animals");
        const error = (await watch(job)).find((event) => event.type === "error");
        assert.match(error?.message ?? "", /\/[0-9]+\.png: found an empty file/);
        while (existsSync(join(runsFolder, job))) await setImmediate();
        assert.equal((await get(job)).exitCode, 2, "it stays known until the name is used again");
      }
    },
  );

  test("cancelling a job that is still being prepared ends it, with nothing saved", { timeout }, async (t) => {
    const { submit, cancel, watch, get, folder } = await coordinator(t, mute);
    const { job } = await submit(digits(folder));
    await cancel(job);
    const events = await watch(job);
    assert.ok(events.every((event) => event.type !== "summary" && event.type !== "error"));
    const ended = await get(job);
    assert.deepEqual([ended.phase, ended.exitCode], [JobPhase.CANCELLED, 130]);
    assert.equal((await cancel(job)).phase, JobPhase.CANCELLED, "cancelling twice changes nothing");
  });

  test("names a job that it does not know", { timeout }, async (t) => {
    const { get, cancel, watch, server } = await coordinator(t, crashing);
    for (const call of [get, cancel, watch]) await assert.rejects(call("flowers"), hasCode(Status.NOT_FOUND));
    const client = openClient(MembershipServiceClient, server.address);
    t.after(() => client.close());
    const manifest = async () => {
      for await (const _ of readStream((options) => client.manifest({ job: "flowers" }, options), {
        what: "Manifest",
      }));
    };
    await assert.rejects(manifest(), hasCode(Status.NOT_FOUND));
  });
});
