/** Service methods as plain async functions: a thrown error becomes a status, a cancelled call becomes an AbortSignal. */
import type {
  Metadata,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from "@grpc/grpc-js";
import { RpcError, Status, statusOf } from "./status.js";

export interface CallContext {
  /** Aborted when the caller goes away, cancels, or its deadline passes. */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
  /** Address of the caller, for logs. */
  readonly peer: string;
}

/** A method with one request, as the service wrote it. */
export type Answer<Request, Message> = (
  request: Request,
  context: CallContext,
) => AsyncIterable<Message> | Promise<AsyncIterable<Message>>;

/** What stands behind a grpc-js handler made here, for bulk-server.ts, which calls it without grpc-js. */
const answers = new WeakMap<object, Answer<unknown, unknown>>();

/** The answer behind a handler of unaryMethod or streamMethod; undefined for any other. */
export function answerBehind(handler: unknown): Answer<unknown, unknown> | undefined {
  return typeof handler === "function" ? answers.get(handler) : undefined;
}

type AnyServerCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer" | "cancelled"> & {
  once(event: "cancelled", listener: () => void): unknown;
};

function contextOf(call: AnyServerCall): CallContext {
  const abort = new AbortController();
  const cancelled = () => abort.abort(callerGone());
  if (call.cancelled) cancelled();
  else call.once("cancelled", cancelled);
  return { signal: abort.signal, metadata: call.metadata, peer: call.getPeer() };
}

export function callerGone(): RpcError {
  return new RpcError(Status.CANCELLED, "The caller went away.");
}

export function unaryMethod<Request, Reply>(
  answer: (request: Request, context: CallContext) => Promise<Reply> | Reply,
): handleUnaryCall<Request, Reply> {
  const handler: handleUnaryCall<Request, Reply> = (call, callback) => {
    void (async () => {
      try {
        callback(null, await answer(call.request, contextOf(call)));
      } catch (thrown) {
        callback(statusOf(thrown));
      }
    })();
  };
  answers.set(handler, async function* (request, context) {
    yield await answer(request as Request, context);
  });
  return handler;
}

/**
 * A method that streams what `answer` yields; the next message is asked for when there is room for it. The payload of
 * a yielded message is sent from where it lies, some time after: its bytes must not change any more.
 */
export function streamMethod<Request, Message>(
  answer: Answer<Request, Message>,
): handleServerStreamingCall<Request, Message> {
  const handler: handleServerStreamingCall<Request, Message> = (call) => {
    const context = contextOf(call);
    void (async () => {
      try {
        const messages = await answer(call.request, context);
        for await (const message of messages) await sendMessage(call, message, context.signal);
        call.end();
      } catch (thrown) {
        // After a cancellation there is nobody to tell.
        if (!context.signal.aborted) call.emit("error", statusOf(thrown));
      }
    })();
  };
  answers.set(handler, answer as Answer<unknown, unknown>);
  return handler;
}

/** A method with messages both ways: `answer` reads `messages` and calls `send`; the call ends when it returns. */
export function duplexMethod<Message, Order>(
  answer: (
    messages: AsyncIterable<Message>,
    send: (order: Order) => Promise<void>,
    context: CallContext,
  ) => Promise<void>,
): handleBidiStreamingCall<Message, Order> {
  return (call) => {
    const context = contextOf(call);
    call.on("error", () => undefined); // reading below throws it; without a listener it would end the process
    void (async () => {
      try {
        // Left undestroyed at its end: this side still has orders and the status to write.
        const messages = call.iterator({ destroyOnReturn: false }) as AsyncIterable<Message>;
        await answer(messages, (order) => sendMessage(call, order, context.signal), context);
        call.end();
      } catch (thrown) {
        if (!context.signal.aborted) call.emit("error", statusOf(thrown));
      }
    })();
  };
}

/**
 * Writes one message; resolves when there is room for the next.
 * @throws the signal's reason when the caller goes away meanwhile.
 */
export async function sendMessage<Message>(
  call: ServerWritableStream<unknown, Message> | ServerDuplexStream<unknown, Message>,
  message: Message,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if (!call.write(message)) await drained(call, signal);
}

/** Resolves at the stream's "drain". @throws the signal's reason when it is aborted first. */
export function drained(stream: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const room = () => {
      signal.removeEventListener("abort", gone);
      resolve();
    };
    const gone = () => {
      stream.removeListener("drain", room);
      reject(signal.reason as Error);
    };
    stream.once("drain", room);
    signal.addEventListener("abort", gone, { once: true });
  });
}
