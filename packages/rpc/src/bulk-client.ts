/**
 * Pulls a stream of Frames on Node's http2 directly, putting payloads where they belong as they arrive: no message is
 * ever gathered in a buffer of its own, as grpc-js does it (see bulk-server.ts for the reason).
 */
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { StatusObject } from "@grpc/grpc-js";
import { formatAddress, parseAddress } from "./address.js";
import { payloadTag } from "./bulk.js";
import { crc32c } from "./crc32c.js";
import { Frame } from "./gen/lockstep/v1/collective.js";
import { prefixBytes, readPrefix, statusFrom, writePrefix } from "./grpc-wire.js";
import { flowControlWindowBytes } from "./limits.js";
import { RpcError, Status, errorOfStatus } from "./status.js";
import { tokenMetadataKey } from "./token.js";

export interface FrameSink {
  /**
   * Where the payload of `frame` (itself without payload here) goes: exactly `payloadBytes` long, or undefined to skip
   * it. While a promise is pending nothing is read, which holds the sender back.
   */
  place(frame: Frame, payloadBytes: number): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** The payload of the frame last placed is there, undamaged (CRC32C); `payload` is what place returned. */
  placed(frame: Frame, payload: Uint8Array | undefined): void;
}

export interface PullOptions {
  /** host:port. */
  readonly address: string;
  /** Of the method: peerService.exchange.path. */
  readonly path: string;
  /** The encoded request. */
  readonly request: Uint8Array;
  readonly token?: string | undefined;
  /** Begins the sentence of an error. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/**
 * Resolves when the sender ends the stream.
 * @throws RpcError or InputError for its status, UNAVAILABLE when the connection is lost, DATA_LOSS for a damaged frame;
 * what the sink throws; the signal's reason when aborted.
 */
export async function pullFrames(options: PullOptions, sink: FrameSink): Promise<void> {
  options.signal.throwIfAborted();
  const session = connect(`http://${formatAddress(parseAddress(options.address, "address of a peer"))}`, {
    settings: { initialWindowSize: flowControlWindowBytes, enablePush: false },
    maxSessionMemory: Number.MAX_SAFE_INTEGER,
  });
  session.once("remoteSettings", () => session.setLocalWindowSize(flowControlWindowBytes));
  const cancel = () => session.destroy();
  options.signal.addEventListener("abort", cancel, { once: true });
  try {
    const status = await receive(session, options, sink);
    if (status.code !== Status.OK) throw errorOfStatus(status, options.what);
  } catch (thrown) {
    options.signal.throwIfAborted();
    throw thrown;
  } finally {
    options.signal.removeEventListener("abort", cancel);
    session.destroy();
  }
}

function receive(session: ClientHttp2Session, options: PullOptions, sink: FrameSink): Promise<StatusObject> {
  return new Promise((resolve, reject) => {
    const lost = (cause?: Error) => {
      const why = cause === undefined ? "the connection was lost" : cause.message;
      reject(new RpcError(Status.UNAVAILABLE, `${options.what}: ${why}`, cause));
    };
    session.once("error", lost);
    session.once("close", () => lost());
    const stream = session.request({
      ":method": "POST",
      ":path": options.path,
      "content-type": "application/grpc+proto",
      te: "trailers",
      ...(options.token === undefined ? {} : { [tokenMetadataKey]: options.token }),
    });
    let status: StatusObject | undefined;
    stream.on("response", (headers) => {
      status = statusFrom(headers);
      const http = headers[":status"];
      if (status === undefined && http !== 200) lost(new Error(`HTTP status ${String(http)}`));
    });
    stream.on("trailers", (trailers) => (status = statusFrom(trailers)));
    stream.on("error", lost);
    const reader = new FrameReader(stream, sink);
    stream.once("close", () => {
      // The stream may be over while the sink still makes us wait with the last bytes.
      const ended = status;
      if (ended === undefined) lost();
      else void reader.settled().then(() => resolve(ended));
    });
    reader.start(reject);
    stream.end(prefixed(options.request));
  });
}

function prefixed(request: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(prefixBytes + request.byteLength);
  writePrefix(message, request.byteLength);
  message.set(request, prefixBytes);
  return message;
}

/** The checksum is taken of this much at a time, while the bytes are still in the processor's second cache. */
const checkedBytes = 512 * 1024;

/** Cuts the bytes of a stream into frames. */
class FrameReader {
  readonly #stream: ClientHttp2Stream;
  readonly #sink: FrameSink;
  /** The first #gathered bytes belong to a head that is not whole yet. */
  #gathering = Buffer.alloc(1024);
  #gathered = 0;
  /** The frame whose payload is coming in, where it goes and how much of it is there. */
  #frame: Frame | undefined;
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;
  #payloadAt = 0;
  /** CRC32C of the payload up to #checkedAt. */
  #checksum = 0;
  #checkedAt = 0;
  /** What the sink makes us wait for. */
  #waiting: Promise<void> | undefined;

  constructor(stream: ClientHttp2Stream, sink: FrameSink) {
    this.#stream = stream;
    this.#sink = sink;
  }

  /** `fail` is told what the sink throws and what is no frame; the stream is closed then. */
  start(fail: (error: unknown) => void): void {
    const stop = (thrown: unknown) => {
      this.#stream.removeAllListeners("data");
      this.#stream.close(constants.NGHTTP2_CANCEL);
      fail(thrown);
    };
    this.#stream.on("data", (chunk: Buffer) => {
      try {
        const waiting = this.#take(chunk);
        if (waiting === undefined) return;
        this.#stream.pause();
        this.#waiting = waiting.then(() => void this.#stream.resume(), stop);
      } catch (thrown) {
        stop(thrown);
      }
    });
  }

  /** Resolves when every byte that has come is taken. */
  async settled(): Promise<void> {
    await this.#waiting;
  }

  /** Takes a chunk; a promise when the sink must be waited for before the rest of it. */
  #take(chunk: Buffer): Promise<void> | undefined {
    let rest = chunk;
    while (rest.byteLength > 0) {
      if (this.#frame !== undefined) {
        rest = this.#fill(rest);
        continue;
      }
      const head = this.#headIn(rest);
      if (head === undefined) return undefined;
      rest = rest.subarray(rest.byteLength - head.bytesAfter);
      const target = this.#sink.place(head.frame, head.payloadBytes);
      if (target instanceof Promise) {
        const after = rest;
        return target.then((payload) => {
          this.#begin(head, payload);
          return this.#take(after);
        });
      }
      this.#begin(head, target);
    }
    return undefined;
  }

  #begin(head: Head, payload: Uint8Array | undefined): void {
    if (payload !== undefined && payload.byteLength !== head.payloadBytes) {
      throw new Error(`a payload of ${head.payloadBytes} bytes for a place of ${payload.byteLength}`);
    }
    this.#payload = payload;
    this.#payloadBytes = head.payloadBytes;
    this.#payloadAt = 0;
    this.#checksum = 0;
    this.#checkedAt = 0;
    if (head.payloadBytes === 0) this.#sink.placed(head.frame, payload);
    else this.#frame = head.frame;
  }

  /** Puts what belongs to the payload where it belongs; gives the bytes after it. */
  #fill(chunk: Buffer): Buffer {
    const missing = this.#payloadBytes - this.#payloadAt;
    const fits = chunk.byteLength <= missing ? chunk : chunk.subarray(0, missing);
    this.#payload?.set(fits, this.#payloadAt);
    this.#payloadAt += fits.byteLength;
    const whole = this.#payloadAt === this.#payloadBytes;
    if (whole || this.#payloadAt - this.#checkedAt >= checkedBytes) this.#check();
    if (whole) {
      const frame = this.#frame as Frame;
      this.#frame = undefined;
      if (this.#payload !== undefined && this.#checksum !== frame.crc32c) throw damaged(frame, this.#checksum);
      this.#sink.placed(frame, this.#payload);
    }
    return chunk.subarray(fits.byteLength);
  }

  /** Takes the checksum as far as the payload has come. */
  #check(): void {
    if (this.#payload === undefined) return;
    this.#checksum = crc32c(this.#payload.subarray(this.#checkedAt, this.#payloadAt), this.#checksum);
    this.#checkedAt = this.#payloadAt;
  }

  /** The next head, if it is whole with this chunk; gathers the chunk otherwise. */
  #headIn(chunk: Buffer): Head | undefined {
    const bytes = this.#gathered === 0 ? chunk : this.#gather(chunk);
    const head = parseHead(bytes);
    if (head !== undefined) this.#gathered = 0;
    else if (this.#gathered === 0) this.#gather(chunk);
    return head;
  }

  #gather(chunk: Buffer): Buffer {
    const bytes = this.#gathered + chunk.byteLength;
    if (bytes > this.#gathering.byteLength) {
      const larger = Buffer.alloc(2 * bytes);
      this.#gathering.copy(larger, 0, 0, this.#gathered);
      this.#gathering = larger;
    }
    chunk.copy(this.#gathering, this.#gathered);
    this.#gathered = bytes;
    return this.#gathering.subarray(0, bytes);
  }
}

function damaged(frame: Frame, found: number): RpcError {
  const sums = `its CRC32C is ${found.toString(16)}, not ${frame.crc32c.toString(16)}`;
  return new RpcError(Status.DATA_LOSS, `a damaged frame: ${sums} (faulty memory or network?)`);
}

/** A frame without its payload. */
interface Head {
  readonly frame: Frame;
  readonly payloadBytes: number;
  /** Bytes behind the head, of those that it was parsed from. */
  readonly bytesAfter: number;
}

/** Parses prefix and fields up to the payload's content; undefined while bytes are missing. */
function parseHead(bytes: Buffer): Head | undefined {
  if (bytes.byteLength < prefixBytes) return undefined;
  const end = prefixBytes + readPrefix(bytes);
  const position = { at: prefixBytes };
  while (position.at < end) {
    const fieldAt = position.at;
    const tag = readVarint(bytes, position);
    if (tag === undefined) return undefined;
    const content = fieldBytes(bytes, tag, position);
    if (content === undefined) return undefined;
    if (tag !== payloadTag) {
      position.at += content;
      continue;
    }
    if (position.at + content !== end) throw new RpcError(Status.INTERNAL, "A frame whose payload is not its end.");
    return headOf(bytes, fieldAt, position.at, content);
  }
  return position.at <= bytes.byteLength ? headOf(bytes, end, end, 0) : undefined;
}

function headOf(bytes: Buffer, fieldsEnd: number, headEnd: number, payloadBytes: number): Head {
  const frame = Frame.decode(bytes.subarray(prefixBytes, fieldsEnd));
  return { frame, payloadBytes, bytesAfter: bytes.byteLength - headEnd };
}

/** Bytes of a field's content, by its wire type; a varint counts as read, with no content left. */
function fieldBytes(bytes: Buffer, tag: number, position: { at: number }): number | undefined {
  switch (tag & 7) {
    case 0:
      return readVarint(bytes, position) === undefined ? undefined : 0;
    case 1:
      return 8;
    case 2:
      return readVarint(bytes, position);
    case 5:
      return 4;
    default:
      throw new RpcError(Status.INTERNAL, `A frame with a field of wire type ${tag & 7}.`);
  }
}

/** Low 53 bits matter: tags and lengths. Undefined when the bytes end first. */
function readVarint(bytes: Buffer, position: { at: number }): number | undefined {
  let value = 0;
  for (let scale = 1; position.at < bytes.byteLength; scale *= 0x80) {
    const byte = bytes[position.at++] as number;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  return undefined;
}
