/** What one Batches request asks of this data-shard: pure arithmetic, no pixel. */
import { ownerOf, phaseOrder, type DatasetManifest, type Splits } from "@lockstep/dataset";
import { locate, microBatchRange, type Place, type Timetable } from "@lockstep/protocol";
import type { BatchesRequest, ShardMap } from "@lockstep/rpc";
import type { ResolvedJobSpec } from "@lockstep/spec";

/** This data-shard's part of one micro-batch. */
export interface Part {
  readonly place: Place;
  readonly microBatch: number;
  /** Of the whole micro-batch. */
  readonly samples: number;
  /** Places within the micro-batch that this data-shard fills, ascending, and the sample index of each. */
  readonly slots: readonly number[];
  readonly indices: readonly number[];
}

export function timetableOf(manifest: DatasetManifest, spec: ResolvedJobSpec): Timetable {
  const { train, validation, test } = manifest.splits;
  const { epochs, batchSize, microBatches } = spec.training;
  return {
    trainSamples: train.length,
    validationSamples: validation.length,
    testSamples: test.length,
    epochs,
    batchSize,
    microBatches,
  };
}

/** The order of each phase and epoch, made when first asked for; the two newest are kept, for workers are at most a position apart. */
export class Orders {
  readonly #splits: Splits;
  readonly #seed: number;
  readonly #train = new Map<number, Uint32Array>();

  constructor({ splits }: Pick<DatasetManifest, "splits">, seed: number) {
    this.#splits = splits;
    this.#seed = seed;
  }

  of({ phase, epoch }: Pick<Place, "phase" | "epoch">): Uint32Array {
    if (phase !== "train") return phaseOrder(this.#splits, phase, this.#seed, epoch);
    let order = this.#train.get(epoch);
    if (order === undefined) {
      order = phaseOrder(this.#splits, phase, this.#seed, epoch);
      this.#train.set(epoch, order);
      if (this.#train.size > ordersKept) this.#train.delete(this.#train.keys().next().value as number);
    }
    return order;
  }
}

const ordersKept = 2;

/** The parts of positions [firstPosition, endPosition), in order; a part may be empty. Made one at a time, as they are asked for. */
export function* partsOf(
  request: BatchesRequest,
  timetable: Timetable,
  orders: Orders,
  map: ShardMap,
): Generator<Part, void, undefined> {
  const unreachable = new Set(request.unreachable);
  for (let position = request.firstPosition; position < request.endPosition; position++) {
    const place = locate(timetable, position);
    const order = orders.of(place);
    for (const [k, first] of request.runFirst.entries()) {
      const end = Math.min(request.runEnd[k] as number, place.microBatches);
      for (let microBatch = first; microBatch < end; microBatch++) {
        const range = microBatchRange(timetable, place, microBatch);
        const samples = order.subarray(range.first, range.end);
        const slots = [...samples.keys()].filter(
          (slot) => ownerOf(map, samples[slot] as number, unreachable) === request.shard,
        );
        const indices = slots.map((slot) => samples[slot] as number);
        yield { place, microBatch, samples: samples.length, slots, indices };
      }
    }
  }
}
