/** Ctrl-C, once and twice: the first asks for an orderly end, the second ends at once. */

export interface Interruption {
  /** Aborted by the first interruption. */
  readonly first: AbortSignal;
  /** Aborted by the second. */
  readonly second: AbortSignal;
  /** What an output nobody reads any more does too (`| head`). */
  readonly interrupt: () => void;
  /** Gives the signals back to Node's defaults. */
  readonly release: () => void;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export function watchInterruptions(): Interruption {
  const first = new AbortController();
  const second = new AbortController();
  const interrupt = () => (first.signal.aborted ? second : first).abort();
  for (const signal of signals) process.on(signal, interrupt);
  return {
    first: first.signal,
    second: second.signal,
    interrupt: () => first.abort(),
    release: () => {
      for (const signal of signals) process.removeListener(signal, interrupt);
    },
  };
}
