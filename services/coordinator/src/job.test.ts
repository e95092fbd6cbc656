import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { type JobEvent as JobEventMessage, JobPhase } from "@lockstep/rpc";
import type { JobEvent, ProgressEvent } from "@lockstep/spec";
import { endUnfinished, exitCodes, Job } from "./job.js";
import { Store } from "./store/database.js";

function newJob(t: TestContext): { job: Job; store: Store; failures: unknown[] } {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-job-"));
  const store = new Store(join(folder, "store.sqlite"));
  t.after(() => {
    store.close();
    rmSync(folder, { recursive: true });
  });
  const failures: unknown[] = [];
  const options = { job: "flowers", runFolder: join(folder, "flowers"), specJson: "{}" };
  return { store, failures, job: new Job({ ...options, store, storeFailed: (error) => failures.push(error) }) };
}

const log = (message: string): JobEvent => ({ type: "log", level: "info", source: "test", message });
const progress = (step: number): ProgressEvent => ({
  type: "progress",
  epoch: 1,
  epochs: 1,
  phase: "train",
  step,
  steps: 9,
  samples: step,
  samplesTotal: 9,
  loss: 1,
  accuracy: 0,
  imagesPerSecond: 1,
  secondsLeft: null,
});
const failed = { phase: JobPhase.FAILED, reason: "worker-2 was lost", exitCode: exitCodes.failed } as const;

/** "1:hello": sequence and message, or step of progress. */
function textOf({ sequence, eventJson }: JobEventMessage): string {
  const event = JSON.parse(eventJson) as { message?: string; step?: number };
  return `${sequence}:${event.message ?? event.step}`;
}

async function textsOf(events: AsyncIterable<JobEventMessage>): Promise<string[]> {
  const texts: string[] = [];
  for await (const event of events) texts.push(textOf(event));
  return texts;
}

const watched = (job: Job, after: number) => textsOf(job.watch(after, new AbortController().signal));

describe("watching a job", () => {
  test("gives all events, then live ones, and ends with the job", async (t) => {
    const { job } = newJob(t);
    job.tell(log("a"));
    const early = watched(job, 0);
    job.tell(log("b"));
    job.enter(failed);
    assert.deepEqual(await early, ["1:a", "2:b"]);
    assert.deepEqual(await watched(job, 0), ["1:a", "2:b"]);
  });

  test("goes on after the sequence that a client has already seen", async (t) => {
    const { job } = newJob(t);
    for (const message of ["a", "b", "c"]) job.tell(log(message));
    job.enter(failed);
    assert.deepEqual(await watched(job, 2), ["3:c"]);
    assert.deepEqual(await watched(job, 3), []);
  });

  test("shows the newest progress in its place, under the number of the event before it", async (t) => {
    const { job } = newJob(t);
    job.tell(log("a"));
    const stream = job.watch(0, new AbortController().signal);
    await stream.next();
    const pending = stream.next();
    job.tell(progress(1));
    const first = await pending;
    job.tell(progress(2));
    job.tell(progress(3));
    job.tell(log("b"));
    job.enter(failed);
    assert.ok(first.done !== true);
    const rest = await textsOf(stream);
    assert.deepEqual([textOf(first.value), ...rest], ["1:1", "1:3", "2:b"]);
  });

  test("ends when the watcher goes away", async (t) => {
    const { job } = newJob(t);
    const gone = new AbortController();
    const stream = textsOf(job.watch(0, gone.signal));
    gone.abort();
    assert.deepEqual(await stream, []);
  });
});

describe("a job", () => {
  test("comes to its end before its watchers although the store takes nothing any more", async (t) => {
    const { job, store, failures } = newJob(t);
    t.mock.method(store, "putEvent", () => assert.fail("database or disk is full"));
    t.mock.method(store, "putJob", () => assert.fail("database or disk is full"));
    job.tell(log("a"));
    job.enter(failed);
    assert.deepEqual(await watched(job, 0), ["1:a"]);
    assert.equal(failures.length, 2);
  });

  test("keeps its first end", (t) => {
    const { job, store } = newJob(t);
    job.enter({ phase: JobPhase.TRAINING }, '{"seed":1}');
    job.enter(failed);
    job.enter({ phase: JobPhase.CANCELLED, reason: "too late", summary: undefined });
    const { phase, reason, exitCode, specJson } = job.message();
    assert.deepEqual([phase, reason, exitCode, specJson], [JobPhase.FAILED, "worker-2 was lost", 3, '{"seed":1}']);
    assert.equal(store.job("flowers")?.reason, "worker-2 was lost");
  });

  test("that its coordinator left unfinished has failed, and says so to whoever watches", (t) => {
    const { job, store } = newJob(t);
    job.tell(log("a"));
    job.enter({ phase: JobPhase.TRAINING });
    endUnfinished(store);
    endUnfinished(store);
    const stored = store.job("flowers");
    assert.equal(stored?.phase, JobPhase.FAILED);
    assert.equal(stored.exitCode, exitCodes.internal);
    const events = store.events("flowers", 0).map((event) => JSON.parse(event.eventJson) as JobEvent);
    assert.deepEqual(
      events.map((event) => event.type),
      ["log", "error"],
    );
  });

  test("that has ended is left as it is", (t) => {
    const { job, store } = newJob(t);
    job.enter(failed);
    const before = store.job("flowers");
    endUnfinished(store);
    assert.deepEqual(store.job("flowers"), before);
  });
});
