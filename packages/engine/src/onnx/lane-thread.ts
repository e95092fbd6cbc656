import { Worker } from "node:worker_threads";
import { InputError } from "@lockstep/spec";
import type { MicroBatch } from "../engine.js";
import { LaneControl } from "./lane-control.js";
import type { FromLane, LaneStart, RunOrder, TaskResult, ToLane } from "./lane-messages.js";
import { makeSlotMemory, type Slot, viewSlot } from "./lane-slot.js";
import type { Program } from "./program.js";

/** One micro-batch to run, and who waits for it. */
export interface Task {
  readonly number: number;
  readonly program: string;
  readonly stateVersion: number;
  readonly batch: MicroBatch;
  /** Reads the slot's results; called before the slot is used again. */
  readonly resolve: (result: TaskResult, slot: Slot) => void;
  readonly reject: (error: Error) => void;
}

/** A second micro-batch waits in the lane while the first is computed, so that no lane waits for the caller's thread. */
const slotsPerLane = 2;

/** The caller's side of one lane: its thread, its slots and the tasks that it has. */
export class LaneThread {
  readonly #worker: Worker;
  readonly #slots: readonly Slot[];
  readonly #freeSlots: number[];
  readonly #tasks = new Map<number, { task: Task; slot: number }>();
  readonly #preparing = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  readonly #exited: Promise<void>;
  readonly #onFree: () => void;
  readonly #onLost: (error: Error) => void;
  /** Version of onnxruntime-node, once its library is loaded. */
  readonly ready: Promise<string>;
  #settleReady: { resolve: (version: string) => void; reject: (error: Error) => void } | undefined;
  readonly #control = new LaneControl();
  #closing = false;

  constructor(
    start: Omit<LaneStart, "slots" | "control">,
    listener: { readonly onFree: () => void; readonly onLost: (error: Error) => void },
  ) {
    this.#onFree = listener.onFree;
    this.#onLost = listener.onLost;
    const slots = Array.from({ length: slotsPerLane }, () => makeSlotMemory(start.slotShape));
    this.#slots = slots.map((memory) => viewSlot(memory, start.slotShape));
    this.#freeSlots = slots.map((_, index) => index);
    this.ready = new Promise((resolve, reject) => (this.#settleReady = { resolve, reject }));
    const workerData: LaneStart = { ...start, slots, control: this.#control.memory };
    // No flags from the parent: a lane is neither a test run nor under the parent's inspector.
    this.#worker = new Worker(new URL("./lane.js", import.meta.url), { workerData, execArgv: [] });
    this.#worker.on("message", (message: FromLane) => this.#receive(message));
    this.#worker.on("error", (error: unknown) => this.#lose(new Error(`an engine thread failed: ${sentence(error)}`)));
    this.#exited = new Promise((resolve) =>
      this.#worker.once("exit", (code) => {
        if (!this.#closing) this.#lose(new Error(`an engine thread ended unexpectedly (exit code ${code})`));
        resolve();
      }),
    );
  }

  /** Tasks that it has: at most `slotsPerLane`. */
  get taskCount(): number {
    return this.#tasks.size;
  }

  get hasRoom(): boolean {
    return this.#freeSlots.length > 0;
  }

  prepare(program: Program): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#preparing.set(program.key, { resolve, reject });
      this.#send({ type: "program", program });
    });
  }

  run(task: Task): void {
    const index = this.#freeSlots.pop();
    const slot = index === undefined ? undefined : this.#slots[index];
    if (index === undefined || slot === undefined) throw new Error("the lane has no free slot");
    const { batch, program, stateVersion } = task;
    slot.pixels.set(batch.pixels);
    slot.labels.set(batch.labels);
    this.#tasks.set(task.number, { task, slot: index });
    const { samples, position, microBatch } = batch;
    const run: RunOrder = { task: task.number, program, slot: index, stateVersion, samples, position, microBatch };
    this.#send({ type: "run", run });
  }

  /** Ends the thread as soon as the run under way lets it; what waits is dropped. Never by force: see lane-control.ts. */
  async close(reason: Error): Promise<void> {
    this.#closing = true;
    this.#rejectAll(reason);
    this.#worker.ref();
    this.#control.close();
    this.#worker.postMessage({ type: "close" } satisfies ToLane);
    await this.#exited;
  }

  /** For a process that exits: blocks until the thread can be ended. */
  stopForExit(): void {
    this.#control.closeAndWait();
  }

  #receive(message: FromLane): void {
    switch (message.type) {
      case "ready":
        this.#settleReady?.resolve(message.version);
        this.#settleReady = undefined;
        break;
      case "unavailable":
        this.#settleReady?.reject(unavailable(message.message));
        this.#settleReady = undefined;
        break;
      case "prepared":
        this.#preparing.get(message.program)?.resolve();
        this.#preparing.delete(message.program);
        break;
      case "done":
        this.#finish(message.task, ({ task, slot }) => task.resolve(message, slot));
        break;
      case "failed": {
        const error = new Error(`ONNX Runtime could not run ${message.program}: ${message.message}`);
        if (message.task !== undefined) this.#finish(message.task, ({ task }) => task.reject(error));
        else {
          this.#preparing.get(message.program)?.reject(error);
          this.#preparing.delete(message.program);
        }
      }
    }
    this.#keepAliveWhileBusy();
  }

  #finish(number: number, settle: (entry: { task: Task; slot: Slot }) => void): void {
    const entry = this.#tasks.get(number);
    const slot = entry === undefined ? undefined : this.#slots[entry.slot];
    if (entry === undefined || slot === undefined) return; // closed meanwhile: already rejected
    this.#tasks.delete(number);
    settle({ task: entry.task, slot });
    this.#freeSlots.push(entry.slot);
    this.#onFree();
  }

  #send(message: ToLane): void {
    this.#worker.postMessage(message);
    this.#keepAliveWhileBusy();
  }

  /** An open engine with nothing to do does not keep the process alive. */
  #keepAliveWhileBusy(): void {
    if (this.#closing) return;
    if (this.#isBusy()) this.#worker.ref();
    else this.#worker.unref();
  }

  #isBusy(): boolean {
    return this.#tasks.size > 0 || this.#preparing.size > 0 || this.#settleReady !== undefined;
  }

  #lose(error: Error): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#rejectAll(error);
    this.#onLost(error);
  }

  #rejectAll(error: Error): void {
    this.#settleReady?.reject(error);
    this.#settleReady = undefined;
    for (const { task } of this.#tasks.values()) task.reject(error);
    this.#tasks.clear();
    for (const waiting of this.#preparing.values()) waiting.reject(error);
    this.#preparing.clear();
  }
}

/** The error of a machine on which onnxruntime-node cannot be loaded; `message` is Node's. */
export function unavailable(message: string): InputError {
  return new InputError({
    where: "engine onnxruntime",
    found: `onnxruntime-node, which cannot be loaded here (${firstLine(message)})`,
    allowed: `an installation made by npm on this machine: run "npm ci" (${process.platform}-${process.arch})`,
  });
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
}
