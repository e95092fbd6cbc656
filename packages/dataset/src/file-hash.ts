import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";

/** Files up to this size are read in one piece; larger ones pass through a stream, so that memory stays bounded. */
const onePieceBytesMax = 8 * 1024 * 1024;

export interface HashedFile {
  readonly sha256: Buffer;
  /** Bytes read. */
  readonly bytes: number;
  /** The first bytes, at least 16 where the file has them: enough to tell image formats apart. */
  readonly head: Uint8Array;
}

/** @param expectedBytes size as last seen; decides only how the file is read */
export async function hashFile(path: string, expectedBytes: number, signal?: AbortSignal): Promise<HashedFile> {
  if (expectedBytes <= onePieceBytesMax) {
    const content = await readFile(path, { signal });
    return { sha256: sha256Of(content), bytes: content.length, head: Uint8Array.from(content.subarray(0, 16)) };
  }
  const hash = createHash("sha256");
  let bytes = 0;
  let head: Uint8Array | undefined;
  for await (const piece of createReadStream(path, { signal, highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    hash.update(piece);
    bytes += piece.length;
    head ??= Uint8Array.from(piece.subarray(0, 16));
  }
  return { sha256: hash.digest(), bytes, head: head ?? new Uint8Array(0) };
}

export function sha256Of(content: Uint8Array): Buffer {
  return createHash("sha256").update(content).digest();
}
