/** The frames that one member sends to another, position after position, as they become known. */
import { FrameKind, crc32c, type Frame } from "@lockstep/rpc";
import type { Generation } from "./generation.js";
import type { PartialSum } from "./partials.js";
import { bytesOf, type PositionExchange } from "./position-exchange.js";
import { pieceCount, pieceOf, type VectorRange } from "./segments.js";

const bytesPerValue = Float32Array.BYTES_PER_ELEMENT;
const noBytes = new Uint8Array(0);

/**
 * Everything that rank `to` needs from rank `own` for one position: the partials of its range, piece after piece, then
 * the own reduced segment, each piece as soon as it is summed. For a published position; a later call gives the same
 * frames again.
 */
export async function* framesFor(
  to: number,
  own: number,
  exchange: PositionExchange,
  generation: Generation,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  const header = headerOf(exchange, generation);
  const partials = exchange.published ?? [];
  if (partials.length === 0) yield { ...header, kind: FrameKind.PARTIAL };
  const range = exchange.rangeOf(to);
  for (let piece = 0; piece < pieceCount(range); piece++) {
    const last = piece === pieceCount(range) - 1;
    for (const partial of partials) yield partialFrame(header, partial, pieceOf(range, piece), last);
  }
  if (exchange.hops === 1) return;
  const segment = exchange.rangeOf(own);
  for (let piece = 0; piece < pieceCount(segment); piece++) {
    const summed = () => exchange.reducedChecksum(piece) !== undefined;
    if (!summed()) await exchange.changes.until(summed, signal);
    yield reducedFrame(header, exchange, piece, pieceOf(segment, piece));
  }
}

function reducedFrame(header: Frame, exchange: PositionExchange, piece: number, range: VectorRange): Frame {
  return {
    ...header,
    kind: FrameKind.REDUCED,
    nodeEnd: exchange.shape.microBatches,
    offset: range.first * bytesPerValue,
    crc32c: exchange.reducedChecksum(piece) ?? 0,
    payload: bytesOf(exchange.result.sums, range),
  };
}

function partialFrame(header: Frame, partial: PartialSum, range: VectorRange, last: boolean): Frame {
  const payload = bytesOf(partial.vector, range);
  return {
    ...header,
    kind: FrameKind.PARTIAL,
    nodeFirst: partial.first,
    nodeEnd: partial.end,
    offset: range.first * bytesPerValue,
    crc32c: crc32c(payload),
    counts: last ? [...partial.counts] : [],
    payload,
  };
}

function headerOf(exchange: PositionExchange, generation: Generation): Frame {
  return {
    kind: FrameKind.UNSPECIFIED,
    job: generation.job,
    ballot: generation.ballot,
    planHash: generation.planHash,
    position: exchange.shape.position,
    nodeFirst: 0,
    nodeEnd: 0,
    offset: 0,
    total: exchange.shape.vectorLength * bytesPerValue,
    crc32c: 0,
    counts: [],
    payload: noBytes,
  };
}
