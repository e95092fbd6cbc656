import { createHash } from "node:crypto";
import { join } from "node:path";
import { InputError, type DatasetFormat } from "@lockstep/spec";
import { forEachBounded } from "./bounded.js";
import { hashFile } from "./file-hash.js";
import { hashBytes, type FileTable } from "./file-table.js";
import { imageFormatOf, imageFormats } from "./image-format.js";
import { littleEndian } from "./little-endian.js";
import type { RawImageShape, Source } from "./source.js";
import { splitSamples, type SplitShares, type Splits } from "./split.js";

/** A dataset as one job uses it: what every sample is, the hash of every file, and the parts. */
export interface DatasetManifest {
  /** Absolute path that file paths are relative to, on every machine that reads samples. */
  readonly root: string;
  readonly format: DatasetFormat;
  readonly classes: readonly string[];
  readonly raw: RawImageShape | undefined;
  readonly files: FileTable;
  /** By sample index: class, file that holds the pixels, and which image of that file. */
  readonly labels: Int32Array;
  readonly sampleFile: Uint32Array;
  readonly sampleOrdinal: Uint32Array;
  readonly splits: Splits;
  /**
   * SHA-256 in hex over everything that training can depend on: format, classes, labels, file contents, splits.
   * Where the dataset lies, file names and times are left out.
   */
  readonly digest: string;
}

export interface HashProgress {
  readonly files: number;
  readonly bytes: number;
}

export interface ManifestOptions {
  readonly split: SplitShares;
  /** Called as files are hashed, at most once a file. */
  readonly onProgress?: (done: HashProgress, total: HashProgress) => void;
  readonly signal?: AbortSignal;
}

/** Hashing is bound by reading: a few files at once hide the latency of a disk or a network folder. */
const filesAtOnce = 8;

/**
 * Splits the samples and hashes every file.
 * @throws InputError naming a class that is too small, or a file that is empty, no image or unreadable
 */
export async function buildManifest(source: Source, options: ManifestOptions): Promise<DatasetManifest> {
  const splits = splitSamples(source, options.split);
  const files = await hashFiles(source, options);
  const { root, format, classes, raw, labels, sampleFile, sampleOrdinal } = source;
  const manifest = { root, format, classes, raw, files, labels, sampleFile, sampleOrdinal, splits };
  return { ...manifest, digest: digestOf(manifest) };
}

async function hashFiles(source: Source, options: ManifestOptions): Promise<FileTable> {
  const { files } = source;
  const total = { files: files.length, bytes: files.reduce((sum, file) => sum + file.bytes, 0) };
  const done = { files: 0, bytes: 0 };
  const sha256 = new Uint8Array(files.length * hashBytes);
  const hashOne = async (index: number) => {
    const file = files[index] as (typeof files)[number];
    const hash = await hashSourceFile(
      join(source.root, file.path),
      file.bytes,
      source.raw === undefined,
      options.signal,
    );
    sha256.set(hash, index * hashBytes);
    done.files += 1;
    done.bytes += file.bytes;
    options.onProgress?.({ ...done }, total);
  };
  await forEachBounded(files.length, filesAtOnce, hashOne, options.signal);
  return {
    paths: files.map((file) => file.path),
    bytes: Float64Array.from(files, (file) => file.bytes),
    mtimeMs: Float64Array.from(files, (file) => file.mtimeMs),
    sha256,
  };
}

async function hashSourceFile(path: string, bytes: number, encoded: boolean, signal?: AbortSignal): Promise<Buffer> {
  const hashed = await hashFile(path, bytes, signal).catch((cause: unknown) => {
    signal?.throwIfAborted();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InputError({
      where: path,
      found: `a file that cannot be read (${why})`,
      allowed: "a readable file",
      cause,
    });
  });
  if (hashed.bytes !== bytes) {
    throw new InputError({
      where: path,
      found: `${hashed.bytes} bytes where ${bytes} were a moment before`,
      allowed: "a dataset that nothing writes to while a job uses it",
    });
  }
  if (encoded && imageFormatOf(hashed.head) === undefined) {
    const found = hashed.bytes === 0 ? "an empty file" : "a file whose content is no image of these formats";
    throw new InputError({ where: path, found, allowed: imageFormats.join(", ") });
  }
  return hashed.sha256;
}

/** Of everything but the digest itself; root, paths and times do not enter. */
export function digestOf(manifest: Omit<DatasetManifest, "digest">): string {
  const { format, classes, raw, labels, sampleFile, sampleOrdinal, files, splits } = manifest;
  const hash = createHash("sha256");
  hash.update(JSON.stringify({ lockstep: "dataset 1", format, classes, raw: raw ?? null, samples: labels.length }));
  for (const column of [labels, sampleFile, sampleOrdinal, splits.train, splits.validation, splits.test]) {
    hash.update(`\n${column.length}\n`).update(littleEndian(column));
  }
  hash.update(`\n${files.paths.length}\n`).update(files.sha256);
  return hash.digest("hex");
}
