/** A coordinator of our own for one command, with a client to it, and nothing left over when the job was refused. */
import { JobClient } from "@lockstep/client";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type RunningCoordinator, startCoordinator } from "./processes.js";

/** The coordinator's SQLite file, beside the runs; other commands at work there have theirs, coordinator-2.sqlite. */
const storeName = "coordinator.sqlite";

export interface CoordinatorSession {
  readonly client: JobClient;
  readonly coordinator: RunningCoordinator;
  /** Ends the coordinator and its children. */
  close(): Promise<void>;
}

export interface SessionOptions {
  /** Absolute. */
  readonly runsFolder: string;
  readonly listen?: string | undefined;
  readonly advertise?: string | undefined;
}

/** @throws CommandFailure when the coordinator does not start */
export async function openSession(options: SessionOptions): Promise<CoordinatorSession> {
  const store = join(options.runsFolder, storeName);
  const isNew = !existsSync(store);
  const clean = async () => (isNew ? await removeUnusedStore(store) : undefined);
  return await open(options, clean);
}

/** One that writes nothing that stays. @throws CommandFailure when the coordinator does not start */
export async function openTransientSession(): Promise<CoordinatorSession> {
  const runsFolder = await mkdtemp(join(tmpdir(), "lockstep-"));
  const clean = () => rm(runsFolder, { recursive: true, force: true, maxRetries: 3 });
  return await open({ runsFolder }, clean);
}

async function open(options: SessionOptions, clean: () => Promise<void>): Promise<CoordinatorSession> {
  let coordinator: RunningCoordinator;
  try {
    coordinator = await startCoordinator(options);
  } catch (thrown) {
    await clean();
    throw thrown;
  }
  const client = new JobClient(coordinator.address, { token: process.env["LOCKSTEP_TOKEN"] });
  const close = async () => {
    client.close();
    await coordinator.stop();
    await clean();
  };
  return { client, coordinator, close };
}

/** A new store is kept when a run stands beside it. */
async function removeUnusedStore(store: string): Promise<void> {
  const folder = dirname(store);
  if (!existsSync(folder)) return;
  const beside = await readdir(folder);
  if (!beside.every((name) => name.startsWith(storeName))) return; // a run, or the store of another command
  for (const name of beside) await rm(join(folder, name), { force: true });
  await rmdir(folder);
}
