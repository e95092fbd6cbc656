// The coordinator's memory in one SQLite file: incarnation, jobs, plans, records, events. Every write is durable when the
// call returns (journal in WAL mode, synchronous full). The file belongs to one process at a time: the system gives it free
// when that process ends, be it by kill -9.

import { mkdirSync } from "node:fs";
import { dirname, parse as parsePath, join } from "node:path";
import { InputError } from "@lockstep/spec";
import Database from "libsql";

export interface StoredJob {
  readonly job: string;
  /** packages/rpc's JobPhase as a number. */
  readonly phase: number;
  readonly specJson: string;
  readonly runFolder: string;
  readonly reason: string;
  readonly summaryJson: string;
  readonly exitCode: number;
}

export interface StoredEvent {
  readonly sequence: number;
  readonly eventJson: string;
}

/** Raised when the tables change in a way that an older version cannot read. */
const schemaVersion = 1;

const schema = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS jobs (
    job TEXT PRIMARY KEY, phase INTEGER NOT NULL, spec_json TEXT NOT NULL, run_folder TEXT NOT NULL,
    reason TEXT NOT NULL, summary_json TEXT NOT NULL, exit_code INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS plans (
    job TEXT NOT NULL, incarnation INTEGER NOT NULL, counter INTEGER NOT NULL, plan BLOB NOT NULL,
    PRIMARY KEY (job, incarnation, counter)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS records (
    job TEXT NOT NULL, position INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (job, position)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS events (
    job TEXT NOT NULL, sequence INTEGER NOT NULL, event_json TEXT NOT NULL, PRIMARY KEY (job, sequence)) WITHOUT ROWID;
`;

const jobColumns = `job, phase, spec_json AS specJson, run_folder AS runFolder, reason, summary_json AS summaryJson,
  exit_code AS exitCode`;

export class Store {
  readonly #database: Database.Database;
  #incarnation: number;

  /** @throws StoreInUse when another process has it; InputError when the file is not a store, or one of a newer version */
  constructor(path: string) {
    this.#database = open(path);
    this.#incarnation = this.#raiseIncarnation();
  }

  /** Of this process: higher than that of every process before on the same file (R4). */
  get incarnation(): number {
    return this.#incarnation;
  }

  #raiseIncarnation(): number {
    const raise = this.#database.transaction(() => {
      this.#database.prepare("INSERT OR IGNORE INTO meta VALUES ('incarnation', 0)").run();
      this.#database.prepare("UPDATE meta SET value = value + 1 WHERE key = 'incarnation'").run();
      return this.#readIncarnation();
    });
    return raise();
  }

  #readIncarnation(): number {
    const row = this.#database.prepare("SELECT value FROM meta WHERE key = 'incarnation'").get() as { value: number };
    return row.value;
  }

  /** Above `above`, which another coordinator's workers have promised. */
  raiseIncarnationAbove(above: number): number {
    const statement = this.#database.prepare("UPDATE meta SET value = max(value, ?) + 1 WHERE key = 'incarnation'");
    statement.run(above);
    this.#incarnation = this.#readIncarnation();
    return this.#incarnation;
  }

  putJob(job: StoredJob): void {
    this.#database
      .prepare(
        `INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job) DO UPDATE SET phase = excluded.phase,
           spec_json = excluded.spec_json, run_folder = excluded.run_folder, reason = excluded.reason,
           summary_json = excluded.summary_json, exit_code = excluded.exit_code`,
      )
      .run(job.job, job.phase, job.specJson, job.runFolder, job.reason, job.summaryJson, job.exitCode);
  }

  /** In order of submission. */
  jobs(): StoredJob[] {
    return this.#database.prepare(`SELECT ${jobColumns} FROM jobs ORDER BY rowid`).all() as StoredJob[];
  }

  job(name: string): StoredJob | undefined {
    // libsql's get() adds a field of its own to the row; all() does not.
    const rows = this.#database.prepare(`SELECT ${jobColumns} FROM jobs WHERE job = ?`).all(name) as StoredJob[];
    return rows[0];
  }

  /** All that is kept of it, where there is anything. */
  forgetJob(name: string): void {
    const forget = this.#database.transaction(() => {
      for (const table of ["jobs", "plans", "records", "events"])
        this.#database.prepare(`DELETE FROM ${table} WHERE job = ?`).run(name);
    });
    forget();
  }

  putPlan(job: string, ballot: { incarnation: number; counter: number }, plan: Uint8Array): void {
    const statement = this.#database.prepare("INSERT INTO plans VALUES (?, ?, ?, ?)");
    statement.run(job, ballot.incarnation, ballot.counter, Buffer.from(plan));
  }

  /** First write wins (R6). All of them or none. */
  putRecords(job: string, records: readonly { readonly position: number; readonly bytes: Uint8Array }[]): void {
    const statement = this.#database.prepare("INSERT OR IGNORE INTO records VALUES (?, ?, ?)");
    const write = this.#database.transaction(() => {
      for (const record of records) statement.run(job, record.position, Buffer.from(record.bytes));
    });
    write();
  }

  /** In order of positions. */
  records(job: string): Uint8Array[] {
    const rows = this.#database.prepare("SELECT record FROM records WHERE job = ? ORDER BY position").all(job);
    return (rows as { record: ArrayBuffer }[]).map(({ record }) => new Uint8Array(record));
  }

  putEvent(job: string, event: StoredEvent): void {
    this.#database.prepare("INSERT INTO events VALUES (?, ?, ?)").run(job, event.sequence, event.eventJson);
  }

  events(job: string, afterSequence: number): StoredEvent[] {
    return this.#database
      .prepare("SELECT sequence, event_json AS eventJson FROM events WHERE job = ? AND sequence > ? ORDER BY sequence")
      .all(job, afterSequence) as StoredEvent[];
  }

  /** Leaves one file, without a journal beside it. */
  close(): void {
    this.#database.pragma("journal_mode = DELETE");
    this.#database.pragma("locking_mode = NORMAL");
    this.#database.prepare("SELECT count(*) FROM meta").all(); // the lock is given free with the next transaction
    this.#database.close();
  }
}

/** Another living process writes to this file. */
export class StoreInUse extends InputError {}

/** Coordinators with one folder of runs beyond which something starts them without end. */
const storesMax = 1_000;

/** The store `path`, or where other coordinators have it and the next, the first free of name-2, name-3, ... */
export function openFreeStore(path: string): Store {
  const { dir, name, ext } = parsePath(path);
  for (let number = 1; ; number++) {
    try {
      return new Store(number === 1 ? path : join(dir, `${name}-${number}${ext}`));
    } catch (error) {
      if (!(error instanceof StoreInUse) || number === storesMax) throw error;
    }
  }
}

function open(path: string): Database.Database {
  let database: Database.Database | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true });
    database = new Database(path);
    database.pragma("locking_mode = EXCLUSIVE");
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    database.exec(schema);
    database.prepare("INSERT OR IGNORE INTO meta VALUES ('schema', ?)").run(schemaVersion);
    const found = database.prepare("SELECT value FROM meta WHERE key = 'schema'").get() as { value: number };
    if (found.value === schemaVersion) return database;
    throw new Error(`schema ${found.value}, this version knows ${schemaVersion}`);
  } catch (cause) {
    database?.close(); // it may hold a lock
    const found = cause instanceof Error ? cause.message : String(cause);
    const where = `store ${path}`;
    if ((cause as { code?: unknown }).code === "SQLITE_BUSY")
      throw new StoreInUse({ where, found: "another coordinator at work on it", allowed: "a store of its own", cause });
    throw new InputError({
      where,
      found,
      allowed: "a writable path, or a store of this version",
      cause,
    });
  }
}
