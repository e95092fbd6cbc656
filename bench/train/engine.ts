import { openEngine, type Engine } from "@lockstep/engine";
import { applyUpdate, buildNetwork, initialState, layoutOf } from "@lockstep/model";
import type { OptimizerSpec } from "@lockstep/spec";
import { setTimeout as sleep } from "node:timers/promises";
import type { Comparison, Round, Setting } from "./report.js";
import type { TorchPeer } from "./torch-peer.js";

const optimizer: OptimizerSpec = {
  name: "adam",
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
};
const imagesPerBlock = 2560;
const samples = 2048;
const seed = 1;

/** The engine without cluster or data: gradients of the default micro-batches, their sum in tree order, Adam. */
export async function measureEngine(torch: TorchPeer, setting: Setting, rounds: number): Promise<Comparison> {
  const trainer = await EngineTrainer.open(setting);
  const steps = Math.ceil(imagesPerBlock / setting.batch);
  const measured: Round[] = [];
  try {
    await trainer.imagesPerSecond(steps);
    await torch.best(setting.batch, steps);
    for (let round = 0; round < rounds; round++) {
      const peer = await torch.best(setting.batch, steps);
      measured.push({ ours: await trainer.imagesPerSecond(steps), torch: peer });
      await sleep(20);
    }
  } finally {
    await trainer.close();
  }
  return { what: "bare engine", setting, rounds: measured };
}

/** batchSize / 16 rounded down to a power of two, 1 to 8: the default of job specs. */
function defaultMicroBatches(batch: number): number {
  return Math.min(8, Math.max(1, 2 ** Math.floor(Math.log2(batch / 16))));
}

class EngineTrainer {
  readonly #engine: Engine;
  readonly #batch: number;
  readonly #microBatches: number;
  readonly #network = buildNetwork(
    { architecture: "simple-cnn", parameters: {} },
    { channels: 3, height: 32, width: 32 },
    10,
  );
  readonly #layout = layoutOf(this.#network);
  readonly #state = initialState(this.#network, this.#layout, optimizer, seed);
  readonly #gradients: Float32Array[];
  readonly #pixels = new Uint8Array(samples * 3072);
  readonly #labels = new Int32Array(samples);
  #at = 0;

  static async open({ threads, batch }: Setting): Promise<EngineTrainer> {
    const network = buildNetwork(
      { architecture: "simple-cnn", parameters: {} },
      { channels: 3, height: 32, width: 32 },
      10,
    );
    const microBatches = defaultMicroBatches(batch);
    const engine = await openEngine({
      network,
      layout: layoutOf(network),
      normalize: { mean: [0.49, 0.48, 0.45], std: [0.25, 0.24, 0.26] },
      seed,
      microBatchSamples: Math.ceil(batch / microBatches),
      threads,
      lanesMax: microBatches,
    });
    return new EngineTrainer(engine, batch, microBatches);
  }

  private constructor(engine: Engine, batch: number, microBatches: number) {
    this.#engine = engine;
    this.#batch = batch;
    this.#microBatches = microBatches;
    this.#gradients = Array.from({ length: microBatches }, () => new Float32Array(engine.vectorLength));
    for (let i = 0; i < this.#pixels.length; i++) this.#pixels[i] = Math.imul(i, 2654435761) >>> 24;
    for (let i = 0; i < samples; i++) this.#labels[i] = i % 10;
  }

  async imagesPerSecond(steps: number): Promise<number> {
    const started = performance.now();
    for (let step = 0; step < steps; step++) await this.#step();
    return (this.#batch * steps) / ((performance.now() - started) / 1000);
  }

  async #step(): Promise<void> {
    if (this.#at + this.#batch > samples) this.#at = 0;
    this.#engine.load(this.#state.parameters, this.#state.statistics);
    const microBatchSamples = this.#batch / this.#microBatches;
    const results = this.#gradients.map((out, microBatch) => {
      const first = this.#at + microBatch * microBatchSamples;
      const end = first + microBatchSamples;
      const pixels = this.#pixels.subarray(first * 3072, end * 3072);
      const labels = this.#labels.subarray(first, end);
      const position = this.#state.position + 1;
      return this.#engine.gradient({ position, microBatch, samples: microBatchSamples, pixels, labels }, out);
    });
    // Folded while later micro-batches are computed, as the product does.
    const sums = await this.#sum(results, 0, this.#microBatches);
    this.#at += this.#batch;
    applyUpdate(this.#state, { sums, samples: this.#batch, microBatches: this.#microBatches }, this.#layout, optimizer);
  }

  /** Sum of a run of micro-batches, by halves: the reduction tree for a power of two. */
  async #sum(results: readonly Promise<unknown>[], first: number, end: number): Promise<Float32Array> {
    const gradient = this.#gradients[first];
    if (gradient === undefined) throw new Error("no such micro-batch");
    if (end - first === 1) {
      await results[first];
      return gradient;
    }
    const middle = (first + end) / 2;
    const left = await this.#sum(results, first, middle);
    const right = await this.#sum(results, middle, end);
    for (let i = 0; i < left.length; i++) left[i] = (left[i] as number) + (right[i] as number);
    return left;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }
}
