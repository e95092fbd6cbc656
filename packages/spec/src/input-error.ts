/**
 * The one error for bad input, raised at the boundary. The sentence is the same everywhere: in the terminal (exit code 2),
 * in a gRPC status (INVALID_ARGUMENT) and in logs.
 */
export class InputError extends Error {
  /** Field or file: "job.yaml: optimizer.learningRate". */
  readonly where: string;
  /** What was found there. */
  readonly found: string;
  /** What is allowed, with advice where there is any. */
  readonly allowed: string;

  constructor(parts: { where: string; found: string; allowed: string; cause?: unknown }) {
    super(`${parts.where}: found ${parts.found}; allowed: ${parts.allowed}`, { cause: parts.cause });
    this.name = "InputError";
    this.where = parts.where;
    this.found = parts.found;
    this.allowed = parts.allowed;
  }
}
