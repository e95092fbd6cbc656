// Lanes compute micro-batches side by side: each is a thread with ONNX Runtime sessions of its own, and ONNX Runtime computes on
// that one thread. Its own thread pools are not used: they cut a matrix product by the number of threads, which for products with
// few columns and long sums changes the order of addition and so the bits (measured with 1.30: Gemm [32 x 288] by [288 x 48] with
// 2 threads, gradients of small-cnn with 4). Nor are they missed: two lanes of one thread reach 1.97 times the throughput of one.
import type { MicroBatch } from "../engine.js";
import type { SlotShape, TaskResult } from "./lane-messages.js";
import type { Slot } from "./lane-slot.js";
import { LaneThread, type Task } from "./lane-thread.js";
import type { Program } from "./program.js";

export interface LanesOptions {
  readonly threads: number;
  readonly lanesMax: number;
  readonly seed: number;
  readonly parameterCount: number;
  readonly statisticCount: number;
  readonly samplesMax: number;
  /** Bytes of one sample's pixels. */
  readonly sampleBytes: number;
}

export class Lanes {
  readonly #state: Float32Array;
  readonly #parameterCount: number;
  readonly #lanes: LaneThread[] = [];
  readonly #waiting: Task[] = [];
  #stateVersion = 0;
  #taskCount = 0;
  #inFlight = 0;
  /** Why nothing can run any more. */
  #ended: Error | undefined;
  readonly #onExit = (): void => {
    for (const lane of this.#lanes) lane.stopForExit();
  };

  /** Starts the threads and loads the native library in each. Resolves to the library's version too. */
  static async open(options: LanesOptions): Promise<{ lanes: Lanes; version: string }> {
    const lanes = new Lanes(options);
    try {
      const versions = await Promise.all(lanes.#lanes.map((lane) => lane.ready));
      return { lanes, version: versions[0] ?? "" };
    } catch (cause) {
      await lanes.close();
      throw cause;
    }
  }

  private constructor(options: LanesOptions) {
    const vectorLength = options.parameterCount + options.statisticCount;
    const laneCount = Math.min(options.threads, options.lanesMax);
    const state = new SharedArrayBuffer(4 * vectorLength);
    const slotShape: SlotShape = { vectorLength, samplesMax: options.samplesMax, sampleBytes: options.sampleBytes };
    this.#state = new Float32Array(state);
    this.#parameterCount = options.parameterCount;
    process.on("exit", this.#onExit);
    const listener = { onFree: () => this.#deal(), onLost: (error: Error) => this.#lose(error) };
    for (let i = 0; i < laneCount; i++) {
      this.#lanes.push(new LaneThread({ seed: options.seed, vectorLength, state, slotShape }, listener));
    }
  }

  load(parameters: Float32Array, statistics: Float32Array): void {
    if (this.#inFlight > 0) throw new Error(`the state was loaded while ${this.#inFlight} micro-batches were computed`);
    this.#state.set(parameters);
    this.#state.set(statistics, this.#parameterCount);
    this.#stateVersion++;
  }

  /** Makes the program ready in every lane. */
  async prepare(program: Program): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    await Promise.all(this.#lanes.map((lane) => lane.prepare(program)));
  }

  /** Runs a prepared program. `read` is called with the slot that holds the results, once, before the promise settles. */
  run(program: string, batch: MicroBatch, read: (slot: Slot) => void): Promise<TaskResult> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise<TaskResult>((resolve, reject) => {
      this.#inFlight++;
      this.#waiting.push({
        number: this.#taskCount++,
        program,
        stateVersion: this.#stateVersion,
        batch,
        resolve: (result, slot) => {
          this.#inFlight--;
          read(slot);
          resolve({ loss: result.loss, correct: result.correct, finite: result.finite });
        },
        reject: (error) => {
          this.#inFlight--;
          reject(error);
        },
      });
      this.#deal();
    });
  }

  async close(): Promise<void> {
    this.#ended ??= new Error("the engine is closed");
    const reason = this.#ended;
    this.#rejectWaiting(reason);
    await Promise.all(this.#lanes.map((lane) => lane.close(reason)));
    process.off("exit", this.#onExit);
  }

  /** Gives waiting tasks to the lanes that have least to do. */
  #deal(): void {
    for (;;) {
      let free: LaneThread | undefined;
      for (const lane of this.#lanes) {
        if (lane.hasRoom && lane.taskCount < (free?.taskCount ?? Infinity)) free = lane;
      }
      const task = free === undefined ? undefined : this.#waiting.shift();
      if (free === undefined || task === undefined) return;
      free.run(task);
    }
  }

  /** One lane lost is the engine lost: everything in flight fails with the same error, and so does every later call. */
  #lose(error: Error): void {
    this.#ended ??= error;
    this.#rejectWaiting(this.#ended);
    for (const lane of this.#lanes) void lane.close(this.#ended);
  }

  #rejectWaiting(reason: Error): void {
    for (const task of this.#waiting.splice(0)) task.reject(reason);
  }
}
