import type { Arguments } from "../arguments.js";
import type { Flag } from "../flags.js";

/** One command of `lockstep`. */
export interface Command {
  readonly name: string;
  /** One line of `lockstep help`. */
  readonly meaning: string;
  /** Lines of its own help above the flags. */
  readonly usage: readonly string[];
  readonly flags: readonly Flag[];
  /** Lines of its own help below the flags. */
  readonly examples: readonly string[];
  /** Resolves with the exit code. */
  run(given: Arguments): Promise<number>;
}
