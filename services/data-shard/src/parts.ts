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

/**
 * Makes the order of a phase and epoch. The newest training orders are kept, for workers mostly read the same epochs; a walk keeps
 * hold of its own, so that walks far apart do not make theirs anew at each position.
 */
export class Orders {
  readonly #splits: Splits;
  readonly #seed: number;
  readonly #train = new Map<number, Uint32Array>();
  #made = 0;

  constructor({ splits }: Pick<DatasetManifest, "splits">, seed: number) {
    this.#splits = splits;
    this.#seed = seed;
  }

  /** Training orders made so far: each costs a permutation of the whole training part. */
  get made(): number {
    return this.#made;
  }

  of({ phase, epoch }: Pick<Place, "phase" | "epoch">): Uint32Array {
    if (phase !== "train") return phaseOrder(this.#splits, phase, this.#seed, epoch);
    let order = this.#train.get(epoch);
    if (order === undefined) {
      order = phaseOrder(this.#splits, phase, this.#seed, epoch);
      this.#made++;
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
  let walked: { readonly phase: Place["phase"]; readonly epoch: number; readonly order: Uint32Array } | undefined;
  for (let position = request.firstPosition; position < request.endPosition; position++) {
    const place = locate(timetable, position);
    const { phase, epoch } = place;
    if (walked?.phase !== phase || walked.epoch !== epoch) walked = { phase, epoch, order: orders.of(place) };
    const { order } = walked;
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
