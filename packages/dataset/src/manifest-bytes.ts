/**
 * The manifest as bytes, little-endian:
 *
 *   "LSDATA1\n" · uint32 header length · header (JSON) · zeros up to a multiple of 8 · columns
 *   columns: file sizes and times (float64), labels, sample files, ordinals, the three splits (int32), file hashes,
 *            file paths (UTF-8, each ended by a zero byte, which no path can hold)
 *
 * The header gives the counts; nothing is read that they do not account for, and the digest is computed anew.
 */
import { InputError, datasetFormats, type DatasetFormat } from "@lockstep/spec";
import { hashBytes } from "./file-table.js";
import { littleEndian } from "./little-endian.js";
import { digestOf, type DatasetManifest } from "./manifest.js";
import type { RawImageShape } from "./source.js";

const magic = "LSDATA1\n";
const headerStart = magic.length + 4;

/** Far above any dataset that one job can index (2^27 samples), far below what would exhaust memory from a short message. */
const countMax = 2 ** 27;

interface Header {
  readonly root: string;
  readonly format: DatasetFormat;
  readonly classes: readonly string[];
  readonly raw: RawImageShape | null;
  readonly files: number;
  readonly samples: number;
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly digest: string;
}

export function encodeManifest(manifest: DatasetManifest): Uint8Array {
  const { root, format, classes, raw, files, labels, splits, digest } = manifest;
  const header: Header = {
    root,
    format,
    classes,
    raw: raw ?? null,
    files: files.paths.length,
    samples: labels.length,
    train: splits.train.length,
    validation: splits.validation.length,
    test: splits.test.length,
    digest,
  };
  const headerText = Buffer.from(JSON.stringify(header));
  const start = Buffer.alloc(columnsStart(headerText.length));
  start.write(magic, "latin1");
  start.writeUInt32LE(headerText.length, magic.length);
  headerText.copy(start, headerStart);
  const { sampleFile, sampleOrdinal } = manifest;
  const columns = [labels, sampleFile, sampleOrdinal, splits.train, splits.validation, splits.test];
  return Buffer.concat([
    start,
    ...[files.bytes, files.mtimeMs, ...columns].map(littleEndian),
    files.sha256,
    Buffer.from(files.paths.map((path) => `${path}\0`).join("")),
  ]);
}

/** @throws InputError when the bytes are no manifest, are cut short, or contradict themselves */
export function decodeManifest(bytes: Uint8Array): DatasetManifest {
  const header = readHeader(bytes);
  const columns = new ColumnReader(bytes, columnsStart(headerLength(bytes)));
  const fileBytes = columns.float64(header.files);
  const mtimeMs = columns.float64(header.files);
  const labels = new Int32Array(columns.words(header.samples).buffer);
  const sampleFile = columns.words(header.samples);
  const sampleOrdinal = columns.words(header.samples);
  const splits = {
    train: columns.words(header.train),
    validation: columns.words(header.validation),
    test: columns.words(header.test),
  };
  const sha256 = columns.take(header.files * hashBytes);
  const paths = readPaths(columns.rest(), header.files);
  requireBelow("label", labels, header.classes.length);
  requireBelow("file of a sample", sampleFile, header.files);
  for (const split of Object.values(splits)) requireSplit(split, header.samples);
  const { root, format, classes } = header;
  const files = { paths, bytes: fileBytes, mtimeMs, sha256 };
  const raw = header.raw ?? undefined;
  const manifest = { root, format, classes, raw, files, labels, sampleFile, sampleOrdinal, splits };
  if (digestOf(manifest) !== header.digest) throw malformed("content of another digest than it says");
  return { ...manifest, digest: header.digest };
}

function columnsStart(headerBytes: number): number {
  return Math.ceil((headerStart + headerBytes) / 8) * 8;
}

function headerLength(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(magic.length, true);
}

function readHeader(bytes: Uint8Array): Header {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (text.length < headerStart || text.toString("latin1", 0, magic.length) !== magic) throw malformed("other bytes");
  const end = headerStart + headerLength(bytes);
  if (end > text.length) throw malformed("a header cut short");
  let header: unknown;
  try {
    header = JSON.parse(text.toString("utf8", headerStart, end));
  } catch (cause) {
    throw malformed("a header that is no JSON", cause);
  }
  if (!isHeader(header)) throw malformed("a header with missing or impossible fields");
  return header;
}

function isHeader(value: unknown): value is Header {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  const counts = [fields.files, fields.samples, fields.train, fields.validation, fields.test];
  return (
    typeof fields.root === "string" &&
    typeof fields.digest === "string" &&
    datasetFormats.includes(fields.format as DatasetFormat) &&
    Array.isArray(fields.classes) &&
    fields.classes.every((name) => typeof name === "string") &&
    (fields.raw === null || isRawShape(fields.raw)) &&
    counts.every((count) => Number.isInteger(count) && (count as number) >= 0 && (count as number) <= countMax)
  );
}

function isRawShape(value: unknown): value is RawImageShape {
  if (typeof value !== "object" || value === null) return false;
  const { height, width, channels, layout } = value as Record<string, unknown>;
  const side = (length: unknown) => Number.isInteger(length) && (length as number) >= 1 && (length as number) <= 65_535;
  return side(height) && side(width) && (channels === 1 || channels === 3) && (layout === "hwc" || layout === "chw");
}

/** Takes columns off the bytes one after the other; each is a copy of its own, so that none keeps the message alive. */
class ColumnReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#at = start;
  }

  take(length: number): Uint8Array<ArrayBuffer> {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed("fewer bytes than its header promises");
    const column = new Uint8Array(length);
    column.set(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return column;
  }

  words(count: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.take(count * 4).buffer);
  }

  float64(count: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.take(count * 8).buffer);
  }

  rest(): Buffer {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, this.#bytes.byteLength - this.#at);
  }
}

function readPaths(bytes: Buffer, count: number): string[] {
  const paths = bytes.toString("utf8").split("\0");
  if (paths.pop() !== "" || paths.length !== count) throw malformed("another number of paths than of files");
  return paths;
}

function requireBelow(what: string, column: ArrayLike<number>, limit: number): void {
  for (let k = 0; k < column.length; k++) {
    const value = column[k] as number;
    if (!(value >= 0 && value < limit)) throw malformed(`a ${what} out of range: ${value}`);
  }
}

function requireSplit(split: Uint32Array, samples: number): void {
  requireBelow("sample of a split", split, samples);
  for (let k = 1; k < split.length; k++) {
    if ((split[k] as number) <= (split[k - 1] as number)) throw malformed("a split that is not ascending");
  }
}

function malformed(found: string, cause?: unknown): InputError {
  return new InputError({ where: "dataset manifest", found, allowed: "the bytes that encodeManifest makes", cause });
}
