/** Answers Batches: the samples of a worker's micro-batches that this data-shard owns, decoded ahead of the worker. */
import { ChangedFileError, type DatasetManifest } from "@lockstep/dataset";
import { PixelReader, pixelSettings } from "@lockstep/dataset/pixels";
import { lastPosition, type Timetable } from "@lockstep/protocol";
import {
  type Batch,
  type BatchesRequest,
  type CallContext,
  crc32c,
  messageBytesMax,
  RpcError,
  type ShardMap,
  Status,
} from "@lockstep/rpc";
import { InputError, type ResolvedJobSpec } from "@lockstep/spec";
import { Orders, type Part, partsOf, timetableOf } from "./parts.js";

export interface ServedDataset {
  readonly job: string;
  readonly manifest: DatasetManifest;
  readonly spec: ResolvedJobSpec;
  /** Images decoded at the same time. */
  readonly decodeThreads: number;
  /** Bound of decoded samples kept, in bytes. */
  readonly cacheBytesMax: number;
  /** Told once, when a file turns out changed, gone or damaged: the job cannot go on. */
  readonly onFault: (error: Error) => void;
}

/** Pixels that one stream may have under way beyond what its worker has taken, in bytes; one part always is. */
const aheadBytesMax = 16 * 1024 * 1024;

/** Room in a message for everything that is not pixels: slots, indices and labels of 4,096 samples and more. */
const messageHeaderBytes = 256 * 1024;

export class DataService {
  readonly #dataset: ServedDataset;
  readonly #reader: PixelReader;
  readonly #timetable: Timetable;
  readonly #orders: Orders;
  #map: ShardMap | undefined;
  #samplesServed = 0;

  constructor(dataset: ServedDataset) {
    const { manifest, spec, decodeThreads, cacheBytesMax, onFault } = dataset;
    const settings = pixelSettings(spec);
    this.#dataset = dataset;
    this.#reader = new PixelReader({ manifest, settings, decodeThreads, cacheBytesMax, onFault });
    this.#timetable = timetableOf(manifest, spec);
    this.#orders = new Orders(manifest, spec.seed);
  }

  get job(): string {
    return this.#dataset.job;
  }

  get datasetDigest(): string {
    return this.#dataset.manifest.digest;
  }

  /** Sums for normalisation: PixelReader.measure. */
  measure: PixelReader["measure"] = (first, end, signal) => this.#reader.measure(first, end, signal);

  /** Looks for changed files among those served from memory: PixelReader.checkFiles. */
  checkFiles(): Promise<void> {
    return this.#reader.checkFiles();
  }

  useMap(map: ShardMap): void {
    this.#map = map;
  }

  statistics(): ReturnType<PixelReader["statistics"]> & {
    readonly samplesDecoded: number;
    readonly samplesServed: number;
  } {
    const { samplesLoaded: samplesDecoded } = this.#reader;
    return { ...this.#reader.statistics(), samplesDecoded, samplesServed: this.#samplesServed };
  }

  close(): void {
    this.#reader.close();
  }

  /**
   * Each part as soon as it and all before it are there; later ones are read meanwhile, up to a bound, and no further while
   * the worker does not take them.
   * @throws RpcError: UNAVAILABLE for another shard map, FAILED_PRECONDITION when a file or the dataset is not what it was
   */
  async *batches(request: BatchesRequest, { signal }: CallContext): AsyncGenerator<Batch, void, undefined> {
    const map = this.#admit(request);
    const parts = partsOf(request, this.#timetable, this.#orders, map);
    const underWay: { readonly batch: Promise<Batch>; readonly bytes: number }[] = [];
    let bytesAhead = 0;
    for (;;) {
      while (underWay.length === 0 || bytesAhead < aheadBytesMax) {
        signal.throwIfAborted();
        const next = parts.next();
        if (next.done === true) break;
        const bytes = next.value.slots.length * this.#reader.sampleBytes;
        const batch = this.#read(next.value);
        batch.catch(() => undefined); // thrown below, when its turn comes; until then it is nobody's
        underWay.push({ batch, bytes: bytes + partOverheadBytes });
        bytesAhead += bytes + partOverheadBytes;
      }
      const first = underWay.shift();
      if (first === undefined) return;
      const batch = await first.batch;
      bytesAhead -= first.bytes;
      this.#samplesServed += batch.slots.length;
      yield batch;
    }
  }

  #admit(request: BatchesRequest): ShardMap {
    const { job, manifest } = this.#dataset;
    if (request.job !== job) throw new RpcError(Status.FAILED_PRECONDITION, `This data-shard serves ${job}.`);
    if (request.datasetDigest !== manifest.digest) {
      throw new RpcError(Status.FAILED_PRECONDITION, `This data-shard serves the dataset ${manifest.digest}.`);
    }
    const map = this.#map;
    if (map === undefined || map.version !== request.shardMapVersion) {
      const has = map === undefined ? "no shard map yet" : `version ${map.version}`;
      throw new RpcError(Status.UNAVAILABLE, `Shard map ${request.shardMapVersion} was asked for; here is ${has}.`);
    }
    const { firstPosition, endPosition, runFirst, runEnd } = request;
    const last = lastPosition(this.#timetable);
    if (!(firstPosition >= 1 && endPosition <= last + 1)) {
      throw badRequest("positions", `[${firstPosition}, ${endPosition})`, `within [1, ${last + 1})`);
    }
    const ends = runFirst.every((first, k) => first <= (runEnd[k] ?? -1)) && runFirst.length === runEnd.length;
    if (!ends)
      throw badRequest("runs", `[${runFirst.join()}] to [${runEnd.join()}]`, "as many ends, none before its start");
    if (!(request.shard < map.addresses.length)) {
      throw badRequest("shard", String(request.shard), `below ${map.addresses.length}`);
    }
    return map;
  }

  async #read(part: Part): Promise<Batch> {
    const { place, microBatch, samples, slots, indices } = part;
    const { sampleBytes } = this.#reader;
    if (slots.length * sampleBytes > messageBytesMax - messageHeaderBytes) throw tooLarge(samples, sampleBytes);
    const pixels = Buffer.allocUnsafe(slots.length * sampleBytes);
    const use = { epoch: place.epoch, train: place.phase === "train" };
    try {
      await Promise.all(indices.map((index, k) => this.#reader.read(index, use, pixels, k * sampleBytes)));
    } catch (thrown) {
      const isFault = thrown instanceof ChangedFileError || thrown instanceof InputError;
      throw isFault ? new RpcError(Status.FAILED_PRECONDITION, thrown.message, thrown) : thrown;
    }
    return {
      position: place.position,
      microBatch,
      samples,
      slots: [...slots],
      indices: [...indices],
      labels: indices.map((index) => this.#dataset.manifest.labels[index] as number),
      crc32c: crc32c(pixels),
      pixels,
    };
  }
}

/** What a part costs beside its pixels: so that parts without any are not read ahead without end. */
const partOverheadBytes = 64 * 1024;

function badRequest(where: string, found: string, allowed: string): InputError {
  return new InputError({ where: `Batches: ${where}`, found, allowed });
}

function tooLarge(samples: number, sampleBytes: number): RpcError {
  const mebibytes = Math.ceil((samples * sampleBytes) / 2 ** 20);
  const sentence = `A micro-batch of ${samples} samples is ${mebibytes} MiB of pixels, above the limit of a message (${messageBytesMax / 2 ** 20} MiB): raise training.microBatches or lower dataset.imageSize.`;
  return new RpcError(Status.FAILED_PRECONDITION, sentence);
}
