/** From micro-batches to partial sums: as they arrive, on as many lanes as the engine has, in whatever order they finish. */
import type { PartialSums } from "@lockstep/collective";
import { microBatchRange, type Place } from "@lockstep/protocol";
import { trainingCounts } from "./counts.js";
import { evaluationCounts } from "./evaluate.js";
import type { SampledMicroBatch } from "./micro-batches.js";
import type { StepWatch } from "./step-watch.js";
import type { Training } from "./training.js";

const noVector = new Float32Array(0);

export class LaneWork {
  readonly #training: Training;
  /** Vectors for results: made once, as many as may be in flight. */
  readonly #vectors: Float32Array[];
  readonly #free: Float32Array[];
  #freed: (() => void) | undefined;

  constructor(training: Training) {
    this.#training = training;
    const { inFlightMax, engine } = training;
    this.#vectors = Array.from({ length: inFlightMax }, () => new Float32Array(engine.vectorLength));
    this.#free = [...this.#vectors];
  }

  /**
   * Resolves when every micro-batch is in `partials`, which puts sums where the tree wants them.
   * @throws what a data-shard or the engine throws, when nothing is in flight any more
   */
  async compute(
    place: Place,
    microBatches: AsyncIterable<SampledMicroBatch>,
    partials: PartialSums,
    watch: StepWatch,
  ): Promise<void> {
    const faults: unknown[] = [];
    const inFlight: Promise<void>[] = [];
    const start = (batch: SampledMicroBatch, vector: Float32Array) => {
      const computing = this.#computeOne(place, batch, vector, partials).catch((thrown: unknown) =>
        faults.push(thrown),
      );
      inFlight.push(computing.then(() => this.#giveBack(vector)));
    };
    try {
      watch.await(this.#isIdle);
      for await (const batch of microBatches) {
        watch.received(batch);
        start(batch, await this.#takeVector());
        watch.await(this.#isIdle);
      }
    } finally {
      await Promise.all(inFlight);
    }
    if (faults.length > 0) throw faults[0];
  }

  async #computeOne(
    place: Place,
    batch: SampledMicroBatch,
    vector: Float32Array,
    partials: PartialSums,
  ): Promise<void> {
    const { engine, network, timetable } = this.#training;
    const { first } = microBatchRange(timetable, place, batch.microBatch);
    if (place.phase === "train") {
      const result = await engine.gradient(batch, vector);
      partials.add(batch.microBatch, vector, trainingCounts(batch, result, place.epoch, first));
    } else {
      const result = await engine.evaluate(batch);
      const counts = evaluationCounts(batch, result, place.epoch, first, network.classes);
      partials.add(batch.microBatch, noVector, counts);
    }
  }

  get #isIdle(): boolean {
    return this.#free.length === this.#vectors.length;
  }

  async #takeVector(): Promise<Float32Array> {
    for (;;) {
      const vector = this.#free.pop();
      if (vector !== undefined) return vector;
      await new Promise<void>((resolve) => (this.#freed = resolve));
    }
  }

  #giveBack(vector: Float32Array): void {
    this.#free.push(vector);
    this.#freed?.();
  }
}
