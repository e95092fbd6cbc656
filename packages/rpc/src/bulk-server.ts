/**
 * A gRPC server for services whose methods take one request (PeerService, DataService), on Node's http2 directly. Why
 * beside grpc-js: that copies each message into one buffer before it writes it and allocates it anew, which costs an
 * all-reduce half of its speed (bench/all-reduce.ts); here the payload is written from where it lies.
 */
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { Metadata, type MethodDefinition, type StatusObject } from "@grpc/grpc-js";
import type { Address } from "./address.js";
import type { MessageParts } from "./bulk.js";
import { prefixBytes, readPrefix, statusTrailers, timeoutMs, writePrefix } from "./grpc-wire.js";
import { keepaliveMs, sendQueueBytesMax } from "./limits.js";
import { RpcError, Status, statusOf } from "./status.js";
import { answerBehind, callerGone, type Answer, type CallContext } from "./stream.js";
import type { ServedService } from "./server.js";
import { Wakeups } from "./wakeups.js";
import { missingToken, tokenMatches, tokenMetadataKey } from "./token.js";

/** A method definition that can give a message in parts. */
export type BulkMethodDefinition = MethodDefinition<unknown, unknown> & {
  readonly responseParts?: (message: unknown) => MessageParts;
};

interface Method {
  readonly definition: BulkMethodDefinition;
  readonly answer: Answer<unknown, unknown>;
}

/** Methods by path, or undefined when one of them takes more than one request: then grpc-js serves. */
export function singleRequestMethods(services: readonly ServedService[]): Map<string, Method> | undefined {
  const methods = new Map<string, Method>();
  for (const { definition, implementation } of services) {
    for (const [name, method] of Object.entries(definition)) {
      const answer = answerBehind(implementation[name]);
      if (answer === undefined || method.requestStream) return undefined;
      methods.set(method.path, { definition: method as BulkMethodDefinition, answer });
    }
  }
  return methods;
}

export interface BulkServer {
  readonly port: number;
  stop(graceMs: number): Promise<void>;
}

/** @throws the system's error when the address cannot be listened on. */
export async function startBulkServer(
  address: Address,
  methods: ReadonlyMap<string, Method>,
  token: string | undefined,
): Promise<BulkServer> {
  const server = createServer({ maxSessionMemory: Number.MAX_SAFE_INTEGER }); // streams bound what they queue
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    const probe = setInterval(() => probeSession(session), keepaliveMs).unref();
    session.on("error", () => undefined); // its streams close, which is what their calls see
    session.once("close", () => {
      clearInterval(probe);
      sessions.delete(session);
    });
  });
  server.on("stream", (stream, headers) => {
    new BulkCall(stream, headers).serve(methods.get(String(headers[":path"])), token);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: address.host, port: address.port }, resolve);
  });
  return { port: (server.address() as AddressInfo).port, stop: (graceMs) => stop(server, sessions, graceMs) };
}

/** Destroys a session that leaves a ping unanswered for a whole interval: its machine is gone. */
function probeSession(session: ServerHttp2Session): void {
  const unanswered = setTimeout(() => session.destroy(), keepaliveMs - 1).unref();
  if (session.destroyed || !session.ping(() => clearTimeout(unanswered))) clearTimeout(unanswered);
}

function stop(server: Http2Server, sessions: ReadonlySet<ServerHttp2Session>, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      for (const session of sessions) session.destroy();
    }, graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    for (const session of sessions) session.close();
  });
}

/** One call on one HTTP/2 stream. */
class BulkCall {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #abort = new AbortController();
  readonly #sent = new Wakeups();
  #queuedBytes = 0;
  #ended = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.#stream = stream;
    this.#headers = headers;
    stream.on("error", () => undefined); // "close" follows
    stream.once("close", () => this.#abort.abort(callerGone()));
  }

  serve(method: Method | undefined, token: string | undefined): void {
    const path = String(this.#headers[":path"]);
    const given = this.#headers[tokenMetadataKey];
    if (!String(this.#headers["content-type"]).startsWith("application/grpc")) {
      this.#stream.respond({ ":status": 415 }, { endStream: true });
    } else if (token !== undefined && !tokenMatches(token, typeof given === "string" ? given : undefined)) {
      this.#fail(statusOf(missingToken()));
    } else if (method === undefined) {
      this.#fail(statusOf(new RpcError(Status.UNIMPLEMENTED, `There is no method ${path} here.`)));
    } else {
      void this.#answer(method);
    }
  }

  async #answer({ definition, answer }: Method): Promise<void> {
    const limitMs = timeoutMs(this.#headers["grpc-timeout"]);
    const deadline = new RpcError(Status.DEADLINE_EXCEEDED, "The call took longer than its caller waits.");
    const timer = limitMs === undefined ? undefined : setTimeout(() => this.#abort.abort(deadline), limitMs);
    try {
      const request = definition.requestDeserialize(await this.#request());
      const context: CallContext = {
        signal: this.#abort.signal,
        metadata: Metadata.fromHttp2Headers(this.#headers),
        peer: this.#stream.session?.socket.remoteAddress ?? "unknown",
      };
      for await (const message of await answer(request, context)) {
        const full = this.#send(partsOf(definition, message));
        if (full !== undefined) await full;
      }
      this.#end({ code: Status.OK, details: "", metadata: new Metadata() });
    } catch (thrown) {
      this.#fail(statusOf(thrown));
    } finally {
      clearTimeout(timer);
    }
  }

  /** The one request message. */
  async #request(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let expected = prefixBytes;
    for await (const chunk of this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes >= prefixBytes) expected = prefixBytes + readPrefix(Buffer.concat(chunks));
      if (bytes > expected) throw new RpcError(Status.UNIMPLEMENTED, "This method takes one request.");
    }
    if (bytes < expected) throw new RpcError(Status.INTERNAL, "The request ended before its message did.");
    return Buffer.concat(chunks).subarray(prefixBytes);
  }

  /** Writes a message; a promise when there is no room for the next one yet. */
  #send({ head, payload }: MessageParts): Promise<void> | undefined {
    const stream = this.#stream;
    this.#abort.signal.throwIfAborted();
    this.#begin();
    stream.cork(); // head and payload leave together
    if (payload.byteLength > 0) stream.write(head);
    const last = payload.byteLength > 0 ? payload : head;
    this.#queuedBytes += last.byteLength;
    stream.write(last, () => {
      this.#queuedBytes -= last.byteLength;
      this.#sent.wake();
    });
    stream.uncork();
    const room = () => this.#queuedBytes < sendQueueBytesMax;
    return room() ? undefined : this.#sent.until(room, this.#abort.signal);
  }

  #begin(): void {
    if (this.#stream.headersSent) return;
    this.#stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  }

  #fail(status: StatusObject): void {
    if (this.#ended || this.#stream.destroyed) return;
    if (this.#stream.headersSent) return this.#end(status);
    this.#ended = true;
    const headers = { ":status": 200, "content-type": "application/grpc+proto", ...statusTrailers(status) };
    this.#stream.respond(headers, { endStream: true });
  }

  #end(status: StatusObject): void {
    if (this.#ended || this.#stream.destroyed) return;
    this.#ended = true;
    this.#begin();
    this.#stream.once("wantTrailers", () => this.#stream.sendTrailers(statusTrailers(status)));
    this.#stream.end();
  }
}

function partsOf(definition: BulkMethodDefinition, message: unknown): MessageParts {
  if (definition.responseParts !== undefined) return definition.responseParts(message);
  const payload = definition.responseSerialize(message);
  const head = Buffer.allocUnsafe(prefixBytes);
  writePrefix(head, payload.byteLength);
  return { head, payload };
}
