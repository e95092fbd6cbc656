/**
 * This worker's micro-batches of a generation, whole and in order: each is put together from the parts that the data-shards
 * hold. Later positions are read ahead while earlier ones are computed.
 */
import type { MicroBatch } from "@lockstep/engine";
import type { Log } from "@lockstep/telemetry";
import type { Batch, BatchesRequest, ShardMap } from "@lockstep/rpc";
import type { Place, Run } from "@lockstep/protocol";
import { ShardStream } from "./shard-stream.js";

/** A micro-batch, and which samples of the dataset it is made of. */
export interface SampledMicroBatch extends MicroBatch {
  /** Sample index in the dataset of each sample. */
  readonly indices: Uint32Array;
}

export interface MicroBatchesOptions {
  readonly shards: ShardMap;
  readonly token: string | undefined;
  /** What is asked of every data-shard, by increasing positions; `shard` is filled in here. */
  readonly requests: readonly BatchesRequest[];
  /** Height * width * channels. */
  readonly sampleBytes: number;
  readonly classes: number;
  readonly log: Log;
}

/** Pixels that one worker holds ahead of what it computes, in bytes: some steps of small images, one of large ones. */
const bytesAheadMax = 64 * 1024 * 1024;

export class MicroBatches {
  readonly #options: MicroBatchesOptions;
  readonly #streams: readonly ShardStream[];

  constructor(options: MicroBatchesOptions) {
    const { shards, token, log } = options;
    this.#options = options;
    const bytesAhead = bytesAheadMax / shards.addresses.length;
    this.#streams = shards.addresses.map((address, shard) => {
      const requests = options.requests.map((request) => ({ ...request, shard }));
      return new ShardStream({ address, token, requests, bytesAhead, log });
    });
  }

  /**
   * The micro-batches of `runs` at a place. Places must be asked for in the order of the requests, none left out.
   * @throws JobFault, DataShardLost or Error, naming the data-shard that refuses, is lost, or sends what was not asked for
   */
  async *of(place: Place, runs: readonly Run[]): AsyncGenerator<SampledMicroBatch, void, undefined> {
    for (const run of runs) {
      for (let microBatch = run.first; microBatch < run.end; microBatch++) {
        const parts = await Promise.all(this.#streams.map((stream) => stream.next()));
        yield this.#assemble(place.position, microBatch, parts);
      }
    }
  }

  close(): void {
    for (const stream of this.#streams) stream.close();
  }

  #assemble(position: number, microBatch: number, parts: readonly Batch[]): SampledMicroBatch {
    const where = `position ${position}, micro-batch ${microBatch}`;
    const samples = parts[0]?.samples ?? 0;
    for (const [shard, part] of parts.entries()) {
      const isAsked = part.position === position && part.microBatch === microBatch && part.samples === samples;
      if (!isAsked || !this.#isConsistent(part)) throw this.#unexpected(shard, where);
    }
    if (parts.reduce((sum, part) => sum + part.slots.length, 0) !== samples) {
      throw new Error(`The data-shards together sent another number of samples than ${samples} for ${where}.`);
    }
    const whole = parts.find((part) => part.slots.length === samples && part.slots.every((slot, i) => slot === i));
    const { sampleBytes } = this.#options;
    const pixels = whole?.pixels ?? new Uint8Array(samples * sampleBytes);
    const labels = new Int32Array(samples).fill(-1);
    const indices = new Uint32Array(samples);
    for (const part of parts) {
      for (const [at, slot] of part.slots.entries()) {
        // Slots are as many as samples and none is taken twice: so all of 0..samples-1 are there.
        if (slot >= samples || labels[slot] !== -1) throw new Error(`Sample ${slot} of ${where} came twice.`);
        labels[slot] = part.labels[at] as number;
        indices[slot] = part.indices[at] as number;
        if (part === whole) continue;
        pixels.set(part.pixels.subarray(at * sampleBytes, (at + 1) * sampleBytes), slot * sampleBytes);
      }
    }
    return { position, microBatch, samples, pixels, labels, indices };
  }

  #isConsistent(part: Batch): boolean {
    const { sampleBytes, classes } = this.#options;
    const count = part.slots.length;
    const isComplete = part.indices.length === count && part.labels.length === count;
    return isComplete && part.pixels.length === count * sampleBytes && part.labels.every((label) => label < classes);
  }

  #unexpected(shard: number, where: string): Error {
    return new Error(
      `The data-shard at ${this.#options.shards.addresses[shard]} sent something else than ${where}, which was asked for.`,
    );
  }
}
