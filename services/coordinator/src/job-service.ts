// What clients ask for: submit, explain, get, list, watch, cancel. Every job of this process is here, by name.

import { existsSync } from "node:fs";
import {
  type JobEvent,
  JobPhase,
  type JobServiceServer,
  jobService,
  RpcError,
  type ServedService,
  Status,
  streamMethod,
  unaryMethod,
} from "@lockstep/rpc";
import { InputError, parseJobSpec } from "@lockstep/spec";
import type { Log } from "@lockstep/telemetry";
import { explain } from "./explain.js";
import { endUnfinished, exitCodes, Job, messageOf } from "./job.js";
import type { Launcher } from "./launch/launcher.js";
import { outline, type Outline } from "./prepare.js";
import { makeRunFolder, removeUntrainedRun } from "./store/artifacts.js";
import type { Store, StoredJob } from "./store/database.js";
import { Supervisor } from "./supervisor.js";

export interface JobsOptions {
  readonly store: Store;
  readonly launcher: Launcher;
  readonly runsFolder: string;
  readonly token: string | undefined;
  readonly log: Log;
}

interface Running {
  readonly job: Job;
  readonly supervisor: Supervisor;
  readonly ended: Promise<void>;
}

/** Jobs that run at once: each has processes of its own, and they share this machine. */
const runningMax = 4;

export class Jobs {
  readonly #options: JobsOptions;
  readonly #jobs = new Map<string, Running>();
  /** host:port of this coordinator; known once it listens. */
  address = "";

  constructor(options: JobsOptions) {
    this.#options = options;
    endUnfinished(options.store);
  }

  /** The supervisor of a job that runs here. @throws RpcError NOT_FOUND */
  supervisorOf(job: string): Supervisor {
    const running = this.#jobs.get(job);
    if (running === undefined) throw new RpcError(Status.NOT_FOUND, `No job "${job}" runs in this coordinator.`);
    return running.supervisor;
  }

  get service(): ServedService {
    const implementation: JobServiceServer = {
      submit: unaryMethod(async ({ specJson, origin }) => this.#submit(await outlineOf(specJson, origin))),
      explain: unaryMethod(async ({ specJson, origin }) => {
        const outlined = await outlineOf(specJson, origin);
        return { specJson: JSON.stringify(outlined.spec), text: explain(outlined) };
      }),
      get: unaryMethod(({ job }) => messageOf(this.#stored(job))),
      list: unaryMethod(() => ({ jobs: this.#options.store.jobs().map(messageOf) })),
      watch: streamMethod(({ job, afterSequence }, { signal }) => this.#watch(job, afterSequence, signal)),
      cancel: unaryMethod(({ job }) => this.#cancel(job)),
    };
    return { definition: jobService, implementation };
  }

  /** Every job ends, saving what it has. */
  async close(why: string): Promise<void> {
    for (const { supervisor } of this.#jobs.values()) supervisor.cancel(why);
    await Promise.all([...this.#jobs.values()].map(({ ended }) => ended));
  }

  #submit(outlined: Outline) {
    const { store, launcher, runsFolder, token, log } = this.#options;
    const { spec } = outlined;
    const running = [...this.#jobs.values()].filter(({ job }) => !job.ended).length;
    if (running >= runningMax)
      throw new RpcError(Status.RESOURCE_EXHAUSTED, `${running} jobs run already; at most ${runningMax} at once.`);
    const { run, folder } = makeRunFolder(runsFolder, spec.name, (name) => this.#isTaken(name));
    store.forgetJob(run);
    const job = new Job({
      store,
      job: run,
      runFolder: folder,
      specJson: JSON.stringify({ ...outlined.spec, name: run }),
      storeFailed: (error) => log.error(`the store keeps no more of job ${run}`, { error }),
    });
    const supervisor = new Supervisor({
      job,
      outline: { ...outlined, spec: { ...outlined.spec, name: run } },
      store,
      launcher,
      address: this.address,
      token,
      log,
    });
    const { workers, dataShards } = spec.cluster;
    job.tell({ type: "job", run, folder, workers, dataShards });
    const ended = supervisor.run().finally(() => {
      if (refused(job)) removeUntrainedRun(folder);
      this.#jobs.delete(run); // from then on it is told from the store
    });
    this.#jobs.set(run, { job, supervisor, ended });
    return job.message();
  }

  /** A job that was refused has left no folder: the next try gets its name. */
  #isTaken(run: string): boolean {
    const stored = this.#options.store.job(run);
    return stored !== undefined && (stored.exitCode !== exitCodes.badInput || existsSync(stored.runFolder));
  }

  #stored(job: string): StoredJob {
    const stored = this.#options.store.job(job);
    if (stored === undefined) throw new RpcError(Status.NOT_FOUND, `There is no job "${job}" in this coordinator.`);
    return stored;
  }

  #watch(job: string, afterSequence: number, signal: AbortSignal): AsyncIterable<JobEvent> {
    const running = this.#jobs.get(job);
    if (running !== undefined) return running.job.watch(afterSequence, signal);
    return eventsOf(this.#options.store, this.#stored(job).job, afterSequence);
  }

  /** A job that has ended, or that only its files are missing of, is left as it is. */
  #cancel(name: string) {
    const running = this.#jobs.get(name);
    if (running !== undefined && running.job.state.phase !== JobPhase.PUBLISHING) {
      running.supervisor.cancel("cancelled on request");
    }
    return messageOf(this.#stored(name));
  }
}

/** For what it was given, before anything was trained or after: its folder tells. */
function refused({ state }: Job): boolean {
  return state.phase === JobPhase.FAILED && state.exitCode === exitCodes.badInput;
}

/** What an ended job has told. */
async function* eventsOf(store: Store, job: string, afterSequence: number): AsyncGenerator<JobEvent> {
  yield* store.events(job, afterSequence);
}

/** @throws InputError naming the file that a spec came from where a field of it is at fault */
async function outlineOf(specJson: string, origin: string): Promise<Outline> {
  const spec = parseJobSpec(specJson, { origin: origin === "" ? "job spec" : origin, baseFolder: process.cwd() });
  try {
    return await outline(spec);
  } catch (cause) {
    if (!(cause instanceof InputError) || origin === "" || !/^(model|preprocess)\b/.test(cause.where)) throw cause;
    const { where, found, allowed } = cause;
    throw new InputError({ where: `${origin}: ${where}`, found, allowed, cause });
  }
}
