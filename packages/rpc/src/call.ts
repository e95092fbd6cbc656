/** Calls with an end: a deadline always, cancellation by AbortSignal, a bounded number of tries. */
import {
  Metadata,
  type CallOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import { setTimeout as delay } from "node:timers/promises";
import { RpcError, Status, errorOfCall } from "./status.js";

export type UnaryMethod<Request, Reply> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, reply: Reply) => void,
) => ClientUnaryCall;

export interface CallLimits {
  /** Begins the sentence of an error: "Get from the coordinator at 127.0.0.1:7000". */
  readonly what: string;
  /** For each try, connecting included. */
  readonly deadlineMs: number;
  /** Tries in all when the service is unavailable (refused, connection lost). Default 1. Only for calls that may run twice. */
  readonly tries?: number;
  readonly signal?: AbortSignal | undefined;
}

/** First wait between two tries; doubles with each, and half of it is drawn at random so that callers spread out. */
const retryDelayMs = 100;

/**
 * One request, one reply: `callUnary(client.get.bind(client), { job }, { what: "Get", deadlineMs: 5000 })`.
 * @throws InputError or RpcError as status.ts says; the signal's reason when aborted.
 */
export async function callUnary<Request, Reply>(
  method: UnaryMethod<Request, Reply>,
  request: Request,
  limits: CallLimits,
): Promise<Reply> {
  const tries = limits.tries ?? 1;
  for (let attempt = 1; ; attempt++) {
    try {
      return await callOnce(method, request, limits);
    } catch (thrown) {
      limits.signal?.throwIfAborted();
      const again = thrown instanceof RpcError && thrown.code === Status.UNAVAILABLE && attempt < tries;
      if (!again) throw thrown;
      const longest = retryDelayMs * 2 ** (attempt - 1);
      await delay(longest * (0.5 + 0.5 * Math.random()), undefined, { signal: limits.signal });
    }
  }
}

function callOnce<Request, Reply>(
  method: UnaryMethod<Request, Reply>,
  request: Request,
  limits: CallLimits,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    limits.signal?.throwIfAborted();
    const deadline = Date.now() + limits.deadlineMs;
    const call = method(request, new Metadata(), { deadline }, (error, reply) => {
      limits.signal?.removeEventListener("abort", cancel);
      if (error === null) resolve(reply);
      else reject(errorOfCall(error, limits.what));
    });
    const cancel = () => call.cancel();
    limits.signal?.addEventListener("abort", cancel, { once: true });
  });
}

/**
 * The messages of a server stream, in order, with back-pressure: the next is read when the loop asks for it. Leaving
 * the loop or aborting cancels the call. `open` begins it: `(options) => client.watch(request, options)`.
 * @throws RpcError or InputError when the stream ends with an error; the signal's reason when aborted.
 */
export async function* readStream<Message>(
  open: (options: Partial<CallOptions>) => ClientReadableStream<Message>,
  limits: { readonly what: string; readonly deadlineMs?: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Message, void, undefined> {
  const { signal, deadlineMs, what } = limits;
  signal?.throwIfAborted();
  const call = open(deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs });
  const cancel = () => call.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    for await (const message of call) yield message as Message;
  } catch (thrown) {
    signal?.throwIfAborted();
    throw errorOfCall(thrown, what);
  } finally {
    signal?.removeEventListener("abort", cancel);
    call.cancel();
  }
}
