/** A condition that several loops wait for: each re-checks its own when something has changed. */
export class Wakeups {
  #waiting = new Set<() => void>();

  /** Wakes everyone who waits. */
  wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const resume of waiting) resume();
  }

  /**
   * Resolves once `condition` holds. Without a signal, what ends the wait must be part of the condition.
   * @throws the signal's reason when it is aborted first.
   */
  async until(condition: () => boolean, signal?: AbortSignal): Promise<void> {
    while (!condition()) {
      signal?.throwIfAborted();
      await this.#nextWake(signal);
    }
  }

  #nextWake(signal: AbortSignal | undefined): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      if (signal === undefined) {
        this.#waiting.add(resolve);
        return;
      }
      const resume = () => {
        signal.removeEventListener("abort", abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.delete(resume);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#waiting.add(resume);
    });
  }
}
