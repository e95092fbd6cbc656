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

type AnyServerCall = Pick<ServerUnaryCall<unknown, unknown>, "metadata" | "getPeer" | "cancelled"> & {
  once(event: "cancelled", listener: () => void): unknown;
};

function contextOf(call: AnyServerCall): CallContext {
  const abort = new AbortController();
  const cancelled = () => abort.abort(new RpcError(Status.CANCELLED, "The caller went away."));
  if (call.cancelled) cancelled();
  else call.once("cancelled", cancelled);
  return { signal: abort.signal, metadata: call.metadata, peer: call.getPeer() };
}

export function unaryMethod<Request, Reply>(
  answer: (request: Request, context: CallContext) => Promise<Reply> | Reply,
): handleUnaryCall<Request, Reply> {
  return (call, callback) => {
    void (async () => {
      try {
        callback(null, await answer(call.request, contextOf(call)));
      } catch (thrown) {
        callback(statusOf(thrown));
      }
    })();
  };
}

/** A method that streams what `answer` yields; the next message is asked for when the caller has room for it. */
export function streamMethod<Request, Message>(
  answer: (request: Request, context: CallContext) => AsyncIterable<Message>,
): handleServerStreamingCall<Request, Message> {
  return (call) => {
    const context = contextOf(call);
    void (async () => {
      try {
        for await (const message of answer(call.request, context)) await sendMessage(call, message, context.signal);
        call.end();
      } catch (thrown) {
        // After a cancellation there is nobody to tell.
        if (!context.signal.aborted) call.emit("error", statusOf(thrown));
      }
    })();
  };
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
  if (call.write(message)) return;
  await new Promise<void>((resolve, reject) => {
    const room = () => {
      signal.removeEventListener("abort", gone);
      resolve();
    };
    const gone = () => {
      call.removeListener("drain", room);
      reject(signal.reason as Error);
    };
    call.once("drain", room);
    signal.addEventListener("abort", gone, { once: true });
  });
}
