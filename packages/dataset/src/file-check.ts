import { stat } from "node:fs/promises";
import { forEachBounded } from "./bounded.js";
import { hashFile, sha256Of } from "./file-hash.js";
import { pathOfFile, recordedHash, type FileTable } from "./file-table.js";

/** A file of the dataset is no longer what it was when the job began: the job cannot go on. */
export class ChangedFileError extends Error {
  /** Absolute. */
  readonly path: string;

  constructor(path: string, what: string, cause?: unknown) {
    super(`${path} ${what}: a job's dataset must stay as it was when the job began`, { cause });
    this.name = "ChangedFileError";
    this.path = path;
  }
}

interface RecordedFiles {
  readonly root: string;
  readonly files: FileTable;
}

/** @throws ChangedFileError when `content`, just read from the file, is not what was recorded */
export function requireRecorded(dataset: RecordedFiles, file: number, content: Uint8Array): void {
  if (sha256Of(content).equals(recordedHash(dataset.files, file))) return;
  throw new ChangedFileError(pathOfFile(dataset, file), "changed");
}

/** The error for a file that could not be read. */
export function unreadable(path: string, thrown: unknown): ChangedFileError {
  const gone = thrown instanceof Error && "code" in thrown && (thrown.code === "ENOENT" || thrown.code === "ENOTDIR");
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new ChangedFileError(path, gone ? "is gone" : `cannot be read any more (${why})`, thrown);
}

/**
 * Looks whether files are still what was recorded: size and modification time first, and the content where the time differs.
 * @throws ChangedFileError naming the first file found to be another
 */
export async function checkFiles(
  dataset: RecordedFiles,
  files: ArrayLike<number>,
  options: { readonly atOnce: number; readonly signal?: AbortSignal },
): Promise<void> {
  await forEachBounded(
    files.length,
    options.atOnce,
    (k) => checkFile(dataset, files[k] as number, options.signal),
    options.signal,
  );
}

async function checkFile(dataset: RecordedFiles, file: number, signal: AbortSignal | undefined): Promise<void> {
  const path = pathOfFile(dataset, file);
  try {
    const status = await stat(path);
    if (status.size !== dataset.files.bytes[file]) throw new ChangedFileError(path, "changed");
    if (status.mtimeMs === dataset.files.mtimeMs[file]) return;
    const { sha256 } = await hashFile(path, status.size, signal);
    if (!sha256.equals(recordedHash(dataset.files, file))) throw new ChangedFileError(path, "changed");
  } catch (thrown) {
    signal?.throwIfAborted();
    throw thrown instanceof ChangedFileError ? thrown : unreadable(path, thrown);
  }
}
