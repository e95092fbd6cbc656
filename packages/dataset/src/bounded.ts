/**
 * Runs `work(0)` to `work(count - 1)`, at most `atOnce` at a time, started in order. The first failure stops the rest from
 * starting and is thrown once those under way have ended, so that nothing of it goes on behind the caller's back.
 */
export async function forEachBounded(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let next = 0;
  let failure: { readonly thrown: unknown } | undefined;
  const lane = async () => {
    while (next < count && failure === undefined) {
      try {
        signal?.throwIfAborted();
        await work(next++);
      } catch (thrown) {
        failure ??= { thrown };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane));
  if (failure !== undefined) throw failure.thrown;
}

/** Lets at most `atOnce` pieces of work run at a time; others wait in the order in which they came. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next(); // takes over the place
    }
  }
}
