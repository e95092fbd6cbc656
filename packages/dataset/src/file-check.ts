import { statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
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
 * Files looked at before others get their turn. A synchronous look costs 2-3 microseconds where an asynchronous one costs 20,
 * which would show beside training; on a slow network folder 16 of them hold the process for some ms.
 */
const filesAtOnce = 16;

/**
 * Looks whether files are still what was recorded: size and modification time first, and the content where the time differs.
 * @throws ChangedFileError naming the first file found to be another; the signal's reason when aborted
 */
export async function checkFiles(
  dataset: RecordedFiles,
  files: ArrayLike<number>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const { signal } = options;
  for (let k = 0; k < files.length; k++) {
    if (k % filesAtOnce === 0) await setImmediate();
    signal?.throwIfAborted();
    const file = files[k] as number;
    if (!hasRecordedTime(dataset, file)) await checkContent(dataset, file, signal);
  }
}

/** @throws ChangedFileError when the file is gone or of another size */
function hasRecordedTime(dataset: RecordedFiles, file: number): boolean {
  const path = pathOfFile(dataset, file);
  let status;
  try {
    status = statSync(path);
  } catch (thrown) {
    throw unreadable(path, thrown);
  }
  if (status.size !== dataset.files.bytes[file]) throw new ChangedFileError(path, "changed");
  return status.mtimeMs === dataset.files.mtimeMs[file];
}

async function checkContent(dataset: RecordedFiles, file: number, signal: AbortSignal | undefined): Promise<void> {
  const path = pathOfFile(dataset, file);
  const hashed = await hashFile(path, dataset.files.bytes[file] as number, signal).catch((thrown: unknown) => {
    signal?.throwIfAborted();
    throw unreadable(path, thrown);
  });
  if (!hashed.sha256.equals(recordedHash(dataset.files, file))) throw new ChangedFileError(path, "changed");
}
