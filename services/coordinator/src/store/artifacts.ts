// What a run leaves in its folder. Every file is written to a temporary name, synced and renamed, so that none is ever seen
// half-written.

import { createHash } from "node:crypto";
import { mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync, closeSync, fsyncSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@lockstep/spec";

/** More runs of one name than anyone keeps. */
const runsOfOneNameMax = 100_000;

export interface RunFolder {
  /** The run's name, unique in its parent folder: the wanted one, or that with -2, -3, ... */
  readonly run: string;
  /** Absolute. */
  readonly folder: string;
}

/**
 * Makes a new folder `parent/name`, or the first free of name-2, name-3, ...; an existing one is never touched, and a name
 * that `isTaken` is passed over, though its folder may be gone.
 * @throws InputError when the parent cannot be written
 */
export function makeRunFolder(
  parent: string,
  name: string,
  isTaken: (run: string) => boolean = () => false,
): RunFolder {
  const refused = (folder: string, cause: unknown): InputError => {
    const found = cause instanceof Error ? cause.message : String(cause);
    return new InputError({ where: `run folder ${folder}`, found, allowed: "a folder that can be written", cause });
  };
  try {
    mkdirSync(parent, { recursive: true });
  } catch (cause) {
    throw refused(parent, cause);
  }
  for (let number = 1; ; number++) {
    const run = number === 1 ? name : `${name}-${number}`;
    const folder = join(parent, run);
    if (isTaken(run)) continue;
    try {
      mkdirSync(folder);
      mkdirSync(join(folder, "logs"));
      return { run, folder };
    } catch (cause) {
      const exists = (cause as NodeJS.ErrnoException).code === "EEXIST";
      if (!exists || number === runsOfOneNameMax) throw refused(folder, cause);
    }
  }
}

/** Removes a run's folder that holds nothing but logs; one that cannot be removed stays. */
export function removeUntrainedRun(folder: string): void {
  try {
    if (readdirSync(folder).every((name) => name === "logs")) rmSync(folder, { recursive: true });
  } catch {
    // it is gone already, or is not ours to remove: its name is then passed over
  }
}

/** Small files, at once. */
export function writeFileWhole(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.writing`;
  const file = openSync(temporary, "w");
  try {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
    fsyncSync(file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/**
 * Writes pieces as they arrive, and names the file only when its size and SHA-256 are the promised ones.
 * @throws Error naming the file when they are not
 */
export async function receiveArtifact(
  path: string,
  promised: { readonly bytes: number; readonly sha256: string },
  pieces: AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = `${path}.writing`;
  const hash = createHash("sha256");
  let bytes = 0;
  const file = await open(temporary, "w");
  try {
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > promised.bytes) throw new Error(`${path} is longer than the ${promised.bytes} bytes announced`);
      hash.update(piece);
      await file.writeFile(piece);
    }
    const sha256 = hash.digest("hex");
    if (bytes !== promised.bytes || sha256 !== promised.sha256)
      throw new Error(`${path} came with SHA-256 ${sha256} and ${bytes} bytes, not as announced`);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
}
