import { InputError } from "@lockstep/spec";
import { Gate, forEachBounded } from "../bounded.js";
import { ChangedFileError, checkFiles } from "../file-check.js";
import { pathOfFile } from "../file-table.js";
import type { DatasetManifest } from "../manifest.js";
import { SampleFiles } from "../sample-files.js";
import { ChannelSummer, type ChannelSums } from "./channel-sums.js";
import { DecodedCache } from "./decoded-cache.js";
import { decodeImage, resizeRaw } from "./decode.js";
import { bytesOf, type PixelSettings } from "./settings.js";
import { Pipeline } from "./transforms/pipeline.js";

export interface PixelReaderOptions {
  readonly manifest: DatasetManifest;
  readonly settings: PixelSettings;
  /** Images decoded at the same time, at least 1. */
  readonly decodeThreads: number;
  /** Bound of the decoded samples kept, in bytes. Files of many images (IDX, CIFAR) are held beside it, once. */
  readonly cacheBytesMax: number;
  /** Told once when a file turns out changed, gone or damaged; every later read throws the same error. */
  readonly onFault?: (error: Error) => void;
}

/** Which pixels of a sample are wanted. */
export interface SampleUse {
  /** 0-based. */
  readonly epoch: number;
  /** Whether to augment. */
  readonly train: boolean;
}

/** Reads started beyond those that decode, so that a slow disk does not keep decoding waiting. */
const filesReadAhead = 4;

/** Sample index -> pixels in the caller's buffer: read, verified, decoded, kept, augmented. */
export class PixelReader {
  /** Bytes of one sample. */
  readonly sampleBytes: number;
  readonly #options: PixelReaderOptions;
  readonly #files: SampleFiles;
  readonly #cache: DecodedCache;
  readonly #pipeline: Pipeline;
  readonly #reading: Gate;
  readonly #decoding: Gate;
  /** Plain pixels that need no change are taken from their file's memory. */
  readonly #asStored: boolean;
  readonly #underWay = new Map<number, Promise<Uint8Array>>();
  readonly #closing = new AbortController();
  #samplesLoaded = 0;
  #fault: Error | undefined;

  constructor(options: PixelReaderOptions) {
    const { manifest, settings, decodeThreads, cacheBytesMax } = options;
    this.#options = options;
    this.sampleBytes = bytesOf(settings.shape);
    this.#files = new SampleFiles(manifest);
    const sampleCount = manifest.labels.length;
    this.#cache = new DecodedCache({ sampleCount, sampleBytes: this.sampleBytes, bytesMax: cacheBytesMax });
    this.#pipeline = new Pipeline(settings);
    this.#reading = new Gate(decodeThreads + filesReadAhead);
    this.#decoding = new Gate(decodeThreads);
    this.#asStored = isAsStored(options);
  }

  /**
   * Writes the sample to `out` at `offset`, `sampleBytes` bytes: uint8, height x width x channels.
   * @throws ChangedFileError when its file is not what was recorded; InputError when it cannot be decoded; each names the file
   */
  async read(sampleIndex: number, use: SampleUse, out: Uint8Array, offset: number): Promise<void> {
    const pixels = this.#cached(sampleIndex, use.epoch) ?? (await this.#load(sampleIndex, use.epoch));
    const target = out.subarray(offset, offset + this.sampleBytes);
    if (use.train) this.#pipeline.apply(pixels, target, use.epoch, sampleIndex);
    else target.set(pixels);
  }

  /** Sums over the training split's samples [first, end), as decoded, without augmentation. @throws as `read` does */
  async measure(first: number, end: number, signal?: AbortSignal): Promise<ChannelSums> {
    const { manifest, settings, decodeThreads } = this.#options;
    const samples = manifest.splits.train.subarray(first, end);
    const summer = new ChannelSummer(settings.shape);
    const addOne = async (k: number) => {
      const sample = samples[k] as number;
      summer.add(this.#cached(sample, 0) ?? (await this.#load(sample, 0)));
    };
    await forEachBounded(samples.length, decodeThreads + filesReadAhead, addOne, signal);
    return summer.result();
  }

  /** Samples read from files and decoded so far: grows while reading goes on. */
  get samplesLoaded(): number {
    return this.#samplesLoaded;
  }

  statistics(): { readonly cacheBytes: number; readonly hits: number; readonly misses: number } {
    const { bytes, hits, misses } = this.#cache.statistics();
    return { cacheBytes: bytes, hits, misses };
  }

  /**
   * Looks at the files whose samples are in memory, which nobody reads any more: a changed one is a fault as in `read`. To be
   * called now and then while samples are served; resolves when all have been looked at.
   */
  async checkFiles(): Promise<void> {
    const { manifest } = this.#options;
    const files = new Set(this.#files.containersHeld());
    for (const sample of this.#cache.samples()) files.add(manifest.sampleFile[sample] as number);
    const { signal } = this.#closing;
    try {
      await checkFiles(manifest, [...files], { signal });
    } catch (thrown) {
      if (!signal.aborted) this.#fail(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  /** Ends a check of files that is running. */
  close(): void {
    this.#closing.abort();
  }

  /** @throws the fault that ended the job, if there is one */
  #cached(sampleIndex: number, epoch: number): Uint8Array | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    return this.#asStored ? undefined : this.#cache.get(sampleIndex, epoch);
  }

  /** Two that want the same sample at the same time wait for one decoding. */
  async #load(sampleIndex: number, epoch: number): Promise<Uint8Array> {
    if (this.#asStored) return this.#orFault(sampleIndex, this.#files.raw(sampleIndex));
    let decoded = this.#underWay.get(sampleIndex);
    if (decoded === undefined) {
      decoded = this.#orFault(sampleIndex, this.#decode(sampleIndex));
      this.#underWay.set(sampleIndex, decoded);
      void decoded
        .then((pixels) => this.#cache.put(sampleIndex, epoch, pixels))
        .catch(() => undefined) // whoever waits for `decoded` is told
        .finally(() => this.#underWay.delete(sampleIndex));
    }
    return decoded;
  }

  #decode(sampleIndex: number): Promise<Uint8Array> {
    const { manifest, settings } = this.#options;
    return this.#reading.run(async () => {
      const shape = manifest.raw;
      if (shape !== undefined) {
        const pixels = await this.#files.raw(sampleIndex);
        return this.#decoding.run(() => resizeRaw(pixels, shape, settings));
      }
      const content = await this.#files.encoded(sampleIndex);
      return this.#decoding.run(() => decodeImage(content, settings));
    });
  }

  async #orFault(sampleIndex: number, pixels: Promise<Uint8Array>): Promise<Uint8Array> {
    try {
      const loaded = await pixels;
      this.#samplesLoaded++;
      return loaded;
    } catch (thrown) {
      const error = thrown instanceof ChangedFileError ? thrown : this.#undecodable(sampleIndex, thrown);
      this.#fail(error);
      throw error;
    }
  }

  #undecodable(sampleIndex: number, cause: unknown): InputError {
    if (cause instanceof InputError) return cause;
    const { manifest } = this.#options;
    const why = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
    return new InputError({
      where: pathOfFile(manifest, manifest.sampleFile[sampleIndex] as number),
      found: `an image that cannot be decoded (${why})`,
      allowed: "whole images; mend or remove the file",
      cause,
    });
  }

  #fail(error: Error): void {
    if (this.#fault !== undefined) return;
    this.#fault = error;
    this.#options.onFault?.(error);
  }
}

function isAsStored({ manifest, settings }: PixelReaderOptions): boolean {
  const { raw } = manifest;
  const { height, width, channels } = settings.shape;
  return raw?.layout === "hwc" && raw.height === height && raw.width === width && raw.channels === channels;
}
