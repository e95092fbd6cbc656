import { readFile } from "node:fs/promises";
import { requireRecorded, unreadable } from "./file-check.js";
import { pathOfFile } from "./file-table.js";
import { cifarImages } from "./cifar.js";
import type { RawImages } from "./containers.js";
import { idxImages } from "./idx.js";
import type { DatasetManifest } from "./manifest.js";

/** Reads a dataset's files, each time comparing what was read with the recorded hash. */
export class SampleFiles {
  readonly #manifest: DatasetManifest;
  /** By file: files of many images stay in memory, for a sample is too small a part of one to read it again. */
  readonly #containers = new Map<number, Promise<RawImages>>();

  constructor(manifest: DatasetManifest) {
    this.#manifest = manifest;
  }

  /** The encoded image of a sample. @throws ChangedFileError */
  encoded(sampleIndex: number): Promise<Buffer> {
    return this.#read(this.#manifest.sampleFile[sampleIndex] as number);
  }

  /** The plain pixels of a sample, a view in the layout of manifest.raw. @throws ChangedFileError */
  async raw(sampleIndex: number): Promise<Uint8Array> {
    const file = this.#manifest.sampleFile[sampleIndex] as number;
    let loading = this.#containers.get(file);
    if (loading === undefined) {
      loading = this.#loadContainer(file);
      this.#containers.set(file, loading);
    }
    const { bytes, first, stride } = await loading;
    const shape = this.#manifest.raw;
    if (shape === undefined) throw new Error("this dataset's files are encoded images");
    const start = first + (this.#manifest.sampleOrdinal[sampleIndex] as number) * stride;
    return bytes.subarray(start, start + shape.height * shape.width * shape.channels);
  }

  /** Every file that samples were read from and are kept of. */
  containersHeld(): number[] {
    return [...this.#containers.keys()];
  }

  async #loadContainer(file: number): Promise<RawImages> {
    const content = await this.#read(file);
    const path = pathOfFile(this.#manifest, file);
    const { format } = this.#manifest;
    return format === "cifar-binary" || format === "cifar-python"
      ? cifarImages(content, format, path)
      : idxImages(content, path);
  }

  async #read(file: number): Promise<Buffer> {
    const path = pathOfFile(this.#manifest, file);
    const content = await readFile(path).catch((thrown: unknown) => {
      throw unreadable(path, thrown);
    });
    requireRecorded(this.#manifest, file, content);
    return content;
  }
}
