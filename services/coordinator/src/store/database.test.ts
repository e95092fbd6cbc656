import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test, type TestContext } from "node:test";
import { InputError } from "@lockstep/spec";
import { openFreeStore, Store, type StoredJob, StoreInUse } from "./database.js";

function storeFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "deeper", "coordinator.sqlite");
}

const job = (name: string, changes: Partial<StoredJob> = {}): StoredJob => ({
  job: name,
  phase: 1,
  specJson: "{}",
  runFolder: `/runs/${name}`,
  reason: "",
  summaryJson: "",
  exitCode: 0,
  ...changes,
});

describe("the store, opened again,", () => {
  test("has its jobs in order of submission, as they were last put, and their events", (t) => {
    const path = storeFile(t);
    const before = new Store(path);
    before.putJob(job("zebra"));
    before.putJob(job("ant"));
    before.putJob(job("zebra", { phase: 6, reason: "worker-2 was lost", exitCode: 3 }));
    for (const sequence of [1, 2, 5]) before.putEvent("ant", { sequence, eventJson: `{"n":${sequence}}` });
    before.close();

    const after = new Store(path);
    assert.deepEqual(after.jobs(), [job("zebra", { phase: 6, reason: "worker-2 was lost", exitCode: 3 }), job("ant")]);
    assert.equal(after.job("ant")?.runFolder, "/runs/ant");
    assert.equal(after.job("bee"), undefined);
    assert.deepEqual(
      after.events("ant", 1).map((event) => event.sequence),
      [2, 5],
    );
    after.close();
  });

  test("by a second coordinator while the first lives is refused, or gives the next file; then it is free again", (t) => {
    const path = storeFile(t);
    const first = new Store(path);
    first.putJob(job("ant"));
    assert.throws(() => new Store(path), StoreInUse);
    const second = openFreeStore(path);
    assert.deepEqual(second.jobs(), []);
    assert.equal(first.raiseIncarnationAbove(41), 42);
    first.close();
    second.close();
    assert.deepEqual(readdirSync(dirname(path)), ["coordinator-2.sqlite", "coordinator.sqlite"], "no journal is left");
    const third = openFreeStore(path);
    assert.equal(third.incarnation, 43);
    assert.deepEqual(third.jobs(), [job("ant")]);
    third.close();
  });

  test("after kill -9 has every write that had returned", async (t) => {
    const path = storeFile(t);
    const program = `
      const { Store } = await import(process.argv[1]);
      const store = new Store(process.argv[2]);
      for (let sequence = 1; ; sequence++) {
        store.putEvent("job", { sequence, eventJson: "{}" });
        process.stdout.write(sequence + "\\n");
      }`;
    const here = new URL("./database.js", import.meta.url).href;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program, here, path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let returned = 0;
    for await (const line of createInterface(child.stdout)) {
      returned = Number(line);
      if (returned === 20) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    const store = new Store(path);
    const stored = store.events("job", 0).map((event) => event.sequence);
    store.close();
    assert.ok(returned >= 20 && stored.length >= returned, `${stored.length} of ${returned}`);
    assert.deepEqual(
      stored,
      stored.map((_, i) => i + 1),
    );
  });
});

describe("plans and records", () => {
  test("a generation's number has one plan", (t) => {
    const store = new Store(storeFile(t));
    const ballot = { incarnation: 1, counter: 1 };
    store.putPlan("job", ballot, Uint8Array.of(1));
    assert.throws(() => store.putPlan("job", ballot, Uint8Array.of(2)), /UNIQUE|constraint/i);
    store.close();
  });

  test("of a position the first record stays", (t) => {
    const path = storeFile(t);
    const store = new Store(path);
    const records = [1, 2].map((position) => ({ position, bytes: Uint8Array.of(position) }));
    store.putRecords("job", records);
    store.putRecords("job", [{ position: 2, bytes: Uint8Array.of(99) }]);
    assert.deepEqual(
      store.records("job").map((bytes) => [...bytes]),
      [[1], [2]],
    );
    store.close();
  });
});

test("a file that is no store is refused by name and left as it is", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "notes.txt");
  writeFileSync(
    path,
    "a list of things to do, longer than a header of SQLite's would be, and then some more of it\n".repeat(20),
  );
  assert.throws(
    () => new Store(path),
    (error) => error instanceof InputError && error.message.includes(path),
  );
  assert.throws(() => new Store("/dev/null/store.sqlite"), InputError);
});
