/** Where one step's time goes, and what of the dataset it used. */
import type { SampledMicroBatch } from "./micro-batches.js";

export type StepPhase = "compute" | "reduce" | "apply";

/** Milliseconds. `wait`: for batches with nothing to compute; not counted in `compute`. */
export type PhaseMs = Readonly<Record<"wait" | StepPhase, number>>;

export class StepWatch {
  readonly #ms = { wait: 0, compute: 0, reduce: 0, apply: 0 };
  readonly #entered: (phase: StepPhase) => void;
  readonly #received: (batch: SampledMicroBatch) => void;
  #phase: StepPhase | undefined;
  #since = performance.now();
  #waitingSince: number | undefined;

  constructor(entered: (phase: StepPhase) => void, received: (batch: SampledMicroBatch) => void) {
    this.#entered = entered;
    this.#received = received;
  }

  enter(phase: StepPhase): void {
    this.#close();
    this.#phase = phase;
    this.#entered(phase);
  }

  /** The next micro-batch is awaited; `idle`: and no lane has anything to do. */
  await(idle: boolean): void {
    this.#waitingSince = idle ? performance.now() : undefined;
  }

  received(batch: SampledMicroBatch): void {
    if (this.#waitingSince !== undefined) this.#ms.wait += performance.now() - this.#waitingSince;
    this.#received(batch);
  }

  finish(): PhaseMs {
    this.#close();
    return { ...this.#ms, compute: this.#ms.compute - this.#ms.wait };
  }

  #close(): void {
    const now = performance.now();
    if (this.#phase !== undefined) this.#ms[this.#phase] += now - this.#since;
    this.#since = now;
  }
}
