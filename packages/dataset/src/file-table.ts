import { join } from "node:path";

/** The files of a dataset as columns, so that a million of them cost about 150 bytes each. */
export interface FileTable {
  /** Relative to the root, "/" between folders. */
  readonly paths: readonly string[];
  /** Sizes when they were hashed. */
  readonly bytes: Float64Array;
  /** Last modification when they were indexed, milliseconds since 1970; tells when to hash again, and is not compared otherwise. */
  readonly mtimeMs: Float64Array;
  /** 32 bytes a file. */
  readonly sha256: Uint8Array;
}

export const hashBytes = 32;

export function recordedHash(files: FileTable, file: number): Uint8Array {
  return files.sha256.subarray(file * hashBytes, (file + 1) * hashBytes);
}

/** Absolute path. */
export function pathOfFile(dataset: { readonly root: string; readonly files: FileTable }, file: number): string {
  return join(dataset.root, dataset.files.paths[file] as string);
}
