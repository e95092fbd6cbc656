/**
 * Errors <-> gRPC status. What crosses the wire is one sentence and a code; stacks and causes stay in the process.
 *
 *   InputError            <-> INVALID_ARGUMENT, its three parts in metadata, so that it is an InputError again at the caller
 *   RpcError(code)        <-> that code
 *   aborted (AbortSignal)  -> CANCELLED
 *   any other error        -> INTERNAL
 */
import { Metadata, status, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { InputError } from "@lockstep/spec";
import { statusSentenceCharactersMax } from "./limits.js";

/** gRPC status codes by name: Status.NOT_FOUND. */
export const Status = status;
export type Status = status;

const inputErrorKey = "lockstep-input-error-bin";

/** An error with a gRPC code: thrown in a service to answer with that code, and what a failed call throws at the caller. */
export class RpcError extends Error {
  readonly code: Status;

  constructor(code: Status, sentence: string, cause?: unknown) {
    super(sentence, { cause });
    this.name = "RpcError";
    this.code = code;
  }

  /** "NOT_FOUND". */
  get codeName(): string {
    return status[this.code] ?? String(this.code);
  }
}

/** What a service answers for a thrown value. */
export function statusOf(thrown: unknown): StatusObject {
  const metadata = new Metadata();
  if (thrown instanceof InputError) {
    const parts = { where: thrown.where, found: thrown.found, allowed: thrown.allowed };
    if (thrown.message.length <= statusSentenceCharactersMax) {
      metadata.set(inputErrorKey, Buffer.from(JSON.stringify(parts)));
    }
    return { code: Status.INVALID_ARGUMENT, details: sentenceOf(thrown), metadata };
  }
  if (thrown instanceof RpcError) return { code: thrown.code, details: sentenceOf(thrown), metadata };
  const aborted = thrown instanceof Error && thrown.name === "AbortError";
  return { code: aborted ? Status.CANCELLED : Status.INTERNAL, details: sentenceOf(thrown), metadata };
}

/** The error of a failed call: `what` begins the sentence and names the call and the peer. */
export function errorOfCall(thrown: unknown, what: string): Error {
  if (isServiceError(thrown)) return errorOfStatus(thrown, what);
  return thrown instanceof Error ? thrown : new Error(`${what}: ${String(thrown)}`);
}

/** The error that a status other than OK stands for. */
export function errorOfStatus(received: StatusObject, what: string): Error {
  const inputError = received.metadata.get(inputErrorKey)[0];
  if (received.code === Status.INVALID_ARGUMENT && inputError instanceof Buffer) {
    const parts = JSON.parse(inputError.toString("utf8")) as { where: string; found: string; allowed: string };
    return new InputError({ ...parts, cause: received });
  }
  const details = received.details === "" ? (status[received.code] ?? "failed") : received.details;
  return new RpcError(received.code, `${what}: ${details}`, received);
}

/** First line only, bounded: a message may carry a whole stack or a file's contents. */
function sentenceOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > statusSentenceCharactersMax ? `${line.slice(0, statusSentenceCharactersMax)}...` : line;
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "number" && "details" in thrown;
}
