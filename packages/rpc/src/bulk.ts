/**
 * Codec of the bulk messages, Frame and Batch: the bytes on the wire are those of the generated codec (plain protobuf, so
 * any client can read them); what differs is the copies. A message is sent in two parts, its head and the payload where
 * it lies; decoding gives the payload as a view of the message.
 */
import { Frame } from "./gen/lockstep/v1/collective.js";
import { Batch } from "./gen/lockstep/v1/data.js";
import { prefixBytes, writePrefix } from "./grpc-wire.js";

const noBytes = new Uint8Array(0);

/** Tag of a `bytes` field with number 15 (Frame.payload, Batch.pixels): (15 << 3) | 2. */
export const payloadTag = 122;

/** A message as it goes out: `head` is gRPC's prefix and every field but the payload's content, which follows it. */
export interface MessageParts {
  readonly head: Buffer;
  /** Not copied: must stay as it is until it has been sent. */
  readonly payload: Uint8Array;
}

export function frameParts(frame: Frame): MessageParts {
  return partsOf(Frame.encode({ ...frame, payload: noBytes }).finish(), frame.payload);
}

export function batchParts(batch: Batch): MessageParts {
  return partsOf(Batch.encode({ ...batch, pixels: noBytes }).finish(), batch.pixels);
}

export function encodeFrame(frame: Frame): Buffer {
  return join(frameParts(frame));
}

export function decodeFrame(message: Uint8Array): Frame {
  return Frame.decode(message);
}

export function encodeBatch(batch: Batch): Buffer {
  return join(batchParts(batch));
}

export function decodeBatch(message: Uint8Array): Batch {
  return Batch.decode(message);
}

/** The payload is the last field, as field numbers order it, and is left out when empty: proto3's rule. */
function partsOf(fields: Uint8Array, payload: Uint8Array): MessageParts {
  const length = payload.byteLength;
  const tagBytes = length === 0 ? 0 : 1 + varintBytes(length);
  const head = Buffer.allocUnsafe(prefixBytes + fields.byteLength + tagBytes);
  writePrefix(head, fields.byteLength + tagBytes + length);
  head.set(fields, prefixBytes);
  if (length > 0) {
    head[prefixBytes + fields.byteLength] = payloadTag;
    writeVarint(head, prefixBytes + fields.byteLength + 1, length);
  }
  return { head, payload };
}

/** The message alone, in one allocation. */
function join({ head, payload }: MessageParts): Buffer {
  const headBytes = head.byteLength - prefixBytes;
  const message = Buffer.allocUnsafe(headBytes + payload.byteLength);
  head.copy(message, 0, prefixBytes);
  message.set(payload, headBytes);
  return message;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function writeVarint(target: Uint8Array, at: number, value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target[at++] = (rest % 0x80) | 0x80;
  target[at] = rest;
}
