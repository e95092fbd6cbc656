// One job as its clients see it: where it stands, and everything that it has told.

import { EventEmitter } from "node:events";
import { JobPhase, type Job as JobMessage, type JobEvent as JobEventMessage } from "@lockstep/rpc";
import type { JobEvent, SummaryEvent } from "@lockstep/spec";
import type { Store, StoredJob } from "./store/database.js";

/** How `lockstep train` exits: docs/exit-codes.md. */
export const exitCodes = { done: 0, internal: 1, badInput: 2, failed: 3, cannotStart: 4, cancelled: 130 } as const;

/** Where a job stands. The last three are its ends. */
export type JobState =
  | { readonly phase: JobPhase.PREPARING | JobPhase.TRAINING | JobPhase.PUBLISHING }
  | { readonly phase: JobPhase.SUCCEEDED; readonly summary: SummaryEvent }
  | { readonly phase: JobPhase.CANCELLED; readonly reason: string; readonly summary: SummaryEvent | undefined }
  | { readonly phase: JobPhase.FAILED; readonly reason: string; readonly exitCode: number };

export interface JobOptions {
  readonly store: Store;
  readonly job: string;
  /** Absolute. */
  readonly runFolder: string;
  readonly specJson: string;
  /** A full disk costs what the store would remember of a job, never the job's end or what watchers see of it. */
  readonly storeFailed: (error: unknown) => void;
}

export class Job {
  readonly job: string;
  readonly runFolder: string;
  readonly #store: Store;
  readonly #storeFailed: (error: unknown) => void;
  readonly #changed = new EventEmitter().setMaxListeners(0);
  readonly #events: JobEventMessage[] = [];
  #sequence = 0;
  #specJson: string;
  #state: JobState = { phase: JobPhase.PREPARING };

  /** @throws what the store throws: a job that cannot be kept is not begun */
  constructor(options: JobOptions) {
    this.job = options.job;
    this.runFolder = options.runFolder;
    this.#store = options.store;
    this.#storeFailed = options.storeFailed;
    this.#specJson = options.specJson;
    this.#store.putJob(this.#stored());
  }

  get state(): JobState {
    return this.#state;
  }

  get ended(): boolean {
    return hasEnded(this.#state);
  }

  enter(state: JobState, specJson = this.#specJson): void {
    if (this.ended) return;
    this.#state = state;
    this.#specJson = specJson;
    this.#keep(() => this.#store.putJob(this.#stored()));
    this.#changed.emit("change");
  }

  /** Tells everyone who watches. Progress is live only: it is not kept, and carries the number of the event before it. */
  tell(event: JobEvent): void {
    const eventJson = JSON.stringify(event);
    if (event.type === "progress") {
      this.#changed.emit("progress", { sequence: this.#sequence, eventJson });
      return;
    }
    const numbered = { sequence: ++this.#sequence, eventJson };
    this.#events.push(numbered);
    this.#keep(() => this.#store.putEvent(this.job, numbered));
    this.#changed.emit("change");
  }

  /** Every event after `afterSequence`, then what comes; ends with the job. */
  async *watch(afterSequence: number, signal: AbortSignal): AsyncGenerator<JobEventMessage> {
    let progress: JobEventMessage | undefined;
    let wake = (): void => undefined;
    const onProgress = (event: JobEventMessage): void => {
      progress = event;
      wake();
    };
    const onChange = (): void => wake();
    this.#changed.on("progress", onProgress).on("change", onChange);
    signal.addEventListener("abort", onChange, { once: true });
    try {
      for (let next = afterSequence; !signal.aborted;) {
        const woken = new Promise<void>((resolve) => (wake = resolve));
        const ended = this.ended;
        for (const event of this.#events.slice(next)) {
          if (progress !== undefined && progress.sequence < event.sequence) {
            yield progress;
            progress = undefined;
          }
          yield event;
          next = event.sequence;
        }
        if (ended) return;
        // Only the newest progress matters to one who reads slowly.
        const newest = progress;
        progress = undefined;
        if (newest !== undefined) yield newest;
        else await woken;
      }
    } finally {
      this.#changed.off("progress", onProgress).off("change", onChange);
    }
  }

  message(): JobMessage {
    return messageOf(this.#stored());
  }

  #stored(): StoredJob {
    const state = this.#state;
    return {
      job: this.job,
      phase: state.phase,
      specJson: this.#specJson,
      runFolder: this.runFolder,
      reason: "reason" in state ? state.reason : "",
      summaryJson: "summary" in state && state.summary !== undefined ? JSON.stringify(state.summary) : "",
      exitCode: exitCodeOf(state),
    };
  }

  #keep(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#storeFailed(error);
    }
  }
}

/** Jobs that an earlier process left: their workers ended with it. Every watcher is told. */
export function endUnfinished(store: Store): void {
  const reason = "the coordinator ended while the job ran";
  for (const stored of store.jobs()) {
    if (endPhases.includes(stored.phase)) continue;
    const sequence = 1 + (store.events(stored.job, 0).at(-1)?.sequence ?? 0);
    const event: JobEvent = { type: "error", message: reason, exitCode: exitCodes.internal };
    store.putEvent(stored.job, { sequence, eventJson: JSON.stringify(event) });
    store.putJob({ ...stored, phase: JobPhase.FAILED, reason, exitCode: exitCodes.internal });
  }
}

const endPhases: readonly number[] = [JobPhase.SUCCEEDED, JobPhase.CANCELLED, JobPhase.FAILED];

/** A stored job as clients get it. */
export function messageOf(stored: StoredJob): JobMessage {
  return { ...stored, phase: stored.phase as JobPhase };
}

function hasEnded(state: JobState): boolean {
  return state.phase === JobPhase.SUCCEEDED || state.phase === JobPhase.CANCELLED || state.phase === JobPhase.FAILED;
}

function exitCodeOf(state: JobState): number {
  if (state.phase === JobPhase.FAILED) return state.exitCode;
  return state.phase === JobPhase.CANCELLED ? exitCodes.cancelled : exitCodes.done;
}
