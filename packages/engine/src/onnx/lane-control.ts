// Two flags that a lane and its caller share: whether the lane is to stop, and whether it is inside native code. A thread that
// is ended inside ONNX Runtime's native code (by terminate, or by process.exit of the main thread) takes the whole process down
// with SIGABRT, so nobody may end it there.

const closingIndex = 0;
const nativeIndex = 1;

/** How long an exiting process waits for a run to return. The longest step of a large network stays below. */
const nativeWaitMs = 10_000;

export class LaneControl {
  readonly memory: SharedArrayBuffer;
  readonly #flags: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#flags = new Int32Array(memory);
  }

  /** The lane's side: runs native work, unless the lane is to stop. */
  async native<T>(work: () => T | Promise<T>): Promise<T | undefined> {
    Atomics.store(this.#flags, nativeIndex, 1);
    try {
      // Looked at after the first flag is up: so either the caller sees the work, or the work sees the caller.
      return Atomics.load(this.#flags, closingIndex) === 0 ? await work() : undefined;
    } finally {
      Atomics.store(this.#flags, nativeIndex, 0);
      Atomics.notify(this.#flags, nativeIndex);
    }
  }

  /** From now on the lane begins nothing. */
  close(): void {
    Atomics.store(this.#flags, closingIndex, 1);
  }

  /** Blocks until the lane is outside native code, for good. */
  closeAndWait(): void {
    this.close();
    Atomics.wait(this.#flags, nativeIndex, 1, nativeWaitMs);
  }
}
