/** Looks again and again whether files are what they were: not once an epoch, for workers may have read whole epochs ahead. */

/** Wait between two looks, in milliseconds, and at least so many times as long as the last one took. */
const waitMsMin = 1_000;
const waitPerWork = 50;

export class FileWatch {
  readonly #look: () => Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(look: () => Promise<void> | undefined) {
    this.#look = look;
    this.#lookAfter(waitMsMin);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #lookAfter(waitMs: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#lookOnce(), waitMs).unref();
  }

  async #lookOnce(): Promise<void> {
    const began = performance.now();
    await this.#look();
    this.#lookAfter(Math.max(waitMsMin, waitPerWork * (performance.now() - began)));
  }
}
