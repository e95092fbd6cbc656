/**
 * gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md), as far as methods with one request need it: length-prefixed messages,
 * status in trailers. Used by bulk-server.ts and bulk-client.ts; the other ends may be any gRPC implementation.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import { messageBytesMax } from "./limits.js";
import { RpcError, Status } from "./status.js";

/** Compressed flag (always 0 here) and length, before each message. */
export const prefixBytes = 5;

export function writePrefix(target: Buffer, messageBytes: number): void {
  target.writeUInt8(0, 0);
  target.writeUInt32BE(messageBytes, 1);
}

/** Length of the message that follows a prefix. @throws RpcError when it is compressed or above the limit. */
export function readPrefix(prefix: Buffer): number {
  if (prefix.readUInt8(0) !== 0)
    throw new RpcError(Status.UNIMPLEMENTED, "Compressed messages are not understood here.");
  const bytes = prefix.readUInt32BE(1);
  if (bytes <= messageBytesMax) return bytes;
  throw new RpcError(Status.RESOURCE_EXHAUSTED, `A message of ${bytes} bytes, above the limit of ${messageBytesMax}.`);
}

export function statusTrailers(status: StatusObject): OutgoingHttpHeaders {
  const trailers = { ...status.metadata.toHttp2Headers(), "grpc-status": String(status.code) };
  return status.details === "" ? trailers : { ...trailers, "grpc-message": encodeURI(status.details) };
}

/** The status in trailers (or in the headers of a response without body); undefined when there is none. */
export function statusFrom(headers: IncomingHttpHeaders): StatusObject | undefined {
  const code = headers["grpc-status"];
  if (typeof code !== "string") return undefined;
  const message = headers["grpc-message"];
  const metadata = Metadata.fromHttp2Headers(headers);
  return { code: Number(code) as Status, details: typeof message === "string" ? decodeMessage(message) : "", metadata };
}

function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // percent signs of a sender that does not encode: better raw than lost
  }
}

const millisecondsPerUnit: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Milliseconds of a `grpc-timeout` header such as "5000m"; undefined when there is none. */
export function timeoutMs(header: string | string[] | undefined): number | undefined {
  const match = typeof header === "string" ? /^(\d{1,8})([HMSmun])$/.exec(header) : null;
  return match === null ? undefined : Number(match[1]) * (millisecondsPerUnit[match[2] as string] as number);
}
