/** A condition that several loops wait for: each re-checks its own when something has changed. */
export class Wakeups {
  #waiting: (() => void)[] = [];

  /** Wakes everyone who waits. */
  wake(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /**
   * Resolves once `condition` holds.
   * @throws the signal's reason when it is aborted first.
   */
  async until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    while (!condition()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const resume = () => {
          signal.removeEventListener("abort", abort);
          resolve();
        };
        const abort = () => {
          this.#waiting = this.#waiting.filter((other) => other !== resume);
          reject(signal.reason as Error);
        };
        signal.addEventListener("abort", abort, { once: true });
        this.#waiting.push(resume);
      });
    }
  }
}
