/** What a command's end means to scripts; docs/exit-codes.md explains each. */
import { RpcError, Status } from "@lockstep/client";
import { type ErrorEvent, InputError } from "@lockstep/spec";

export const exitCodes = {
  done: 0,
  /** A fault of Lockstep itself. */
  internal: 1,
  /** Usage, spec, dataset or model. */
  badInput: 2,
  /** A worker or data-shard lost, a loss that is not finite, a file changed. */
  trainingFailed: 3,
  /** A port, a folder, a missing package, another Node. */
  couldNotStart: 4,
  /** Ctrl-C; the model is saved where anything was trained. */
  interrupted: 130,
} as const;

/** An ending with one sentence for people and a code for scripts. */
export class CommandFailure extends Error {
  readonly exitCode: number;
  /** The event of the job that has told it already. */
  readonly told: ErrorEvent | undefined;

  constructor(sentence: string, exitCode: number, cause?: unknown, told?: ErrorEvent) {
    super(sentence, { cause });
    this.name = "CommandFailure";
    this.exitCode = exitCode;
    this.told = told;
  }
}

export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof CommandFailure) return thrown.exitCode;
  if (thrown instanceof InputError) return exitCodes.badInput;
  if (!(thrown instanceof RpcError)) return exitCodes.internal;
  if (thrown.code === Status.FAILED_PRECONDITION) return exitCodes.trainingFailed;
  return exitCodes.internal;
}

/** One line for people, whatever was thrown. */
export function sentenceOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return text.split("\n", 1)[0] ?? "";
}
