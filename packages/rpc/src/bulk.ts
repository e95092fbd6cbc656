/**
 * Codec of the bulk messages, Frame and Batch: the bytes on the wire are those of the generated codec (plain protobuf,
 * so any client can read them); what differs is the copies. Encoding puts header and payload into one allocation;
 * decoding gives the payload as a view of the received message.
 */
import { Frame } from "./gen/lockstep/v1/collective.js";
import { Batch } from "./gen/lockstep/v1/data.js";

const noBytes = new Uint8Array(0);

/** Tag of a `bytes` field with number 15 (Frame.payload, Batch.pixels): (15 << 3) | 2. */
const payloadTag = 122;

export function encodeFrame(frame: Frame): Buffer {
  return joinPayload(Frame.encode({ ...frame, payload: noBytes }).finish(), frame.payload);
}

export function decodeFrame(message: Uint8Array): Frame {
  return Frame.decode(message);
}

export function encodeBatch(batch: Batch): Buffer {
  return joinPayload(Batch.encode({ ...batch, pixels: noBytes }).finish(), batch.pixels);
}

export function decodeBatch(message: Uint8Array): Batch {
  return Batch.decode(message);
}

/** The payload is the last field, as field numbers order it, and is left out when empty: proto3's rule. */
function joinPayload(header: Uint8Array, payload: Uint8Array): Buffer {
  const length = payload.byteLength;
  if (length === 0) return Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  const message = Buffer.allocUnsafe(header.byteLength + 1 + varintBytes(length) + length);
  message.set(header, 0);
  let at = header.byteLength;
  message[at++] = payloadTag;
  at = writeVarint(message, at, length);
  message.set(payload, at);
  return message;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target[at++] = (rest % 0x80) | 0x80;
  target[at++] = rest;
  return at;
}
