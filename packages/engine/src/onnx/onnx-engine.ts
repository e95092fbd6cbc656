import { createHash } from "node:crypto";
import type { BatchResult, Engine, EngineOptions, Evaluation, MicroBatch } from "../engine.js";
import { Lanes } from "./lanes.js";
import { buildProgram, programKey, type ProgramKind } from "./training-step.js";
import { engineIdentity, loadOnnxRuntime, runtimeVersion } from "./session.js";
import { unavailable } from "./lane-thread.js";

/** @throws InputError where onnxruntime-node cannot be loaded on this machine */
export function identifyOnnxEngine(): string {
  try {
    return engineIdentity(runtimeVersion(loadOnnxRuntime()));
  } catch (thrown) {
    throw unavailable(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

export async function openOnnxEngine(options: EngineOptions): Promise<Engine> {
  const { network, layout, microBatchSamples, seed, threads, lanesMax } = options;
  refuseBelowOne("microBatchSamples", microBatchSamples);
  refuseBelowOne("threads", threads);
  refuseBelowOne("lanesMax", lanesMax);
  const { height, width, channels } = network.input;
  const { lanes, version } = await Lanes.open({
    threads,
    lanesMax,
    seed,
    parameterCount: layout.parameterCount,
    statisticCount: layout.statisticCount,
    samplesMax: microBatchSamples,
    sampleBytes: height * width * channels,
  });
  try {
    return new OnnxEngine(options, lanes, version);
  } catch (cause) {
    await lanes.close();
    throw cause;
  }
}

class OnnxEngine implements Engine {
  readonly identity: string;
  readonly digest: string;
  readonly vectorLength: number;
  readonly #options: EngineOptions;
  readonly #lanes: Lanes;
  /** Programs by key, made ready or being so. */
  readonly #prepared = new Map<string, Promise<void>>();
  #loaded = false;

  constructor(options: EngineOptions, lanes: Lanes, version: string) {
    const { layout, microBatchSamples } = options;
    this.#options = options;
    this.#lanes = lanes;
    this.vectorLength = layout.parameterCount + layout.statisticCount;
    this.identity = engineIdentity(version);
    this.digest = createHash("sha256")
      .update(buildProgram("train", options, microBatchSamples).text)
      .update(buildProgram("evaluate", options, microBatchSamples).text)
      .digest("hex");
  }

  load(parameters: Float32Array, statistics: Float32Array): void {
    const { parameterCount, statisticCount } = this.#options.layout;
    refuseOtherLength("parameters", parameters.length, parameterCount);
    refuseOtherLength("statistics", statistics.length, statisticCount);
    this.#lanes.load(parameters, statistics);
    this.#loaded = true;
  }

  async gradient(batch: MicroBatch, out: Float32Array): Promise<BatchResult> {
    this.#check(batch);
    refuseOtherLength("out", out.length, this.vectorLength);
    await this.#prepare("train", batch.samples);
    return this.#lanes.run(programKey("train", batch.samples), batch, (slot) => out.set(slot.vector));
  }

  async evaluate(batch: MicroBatch): Promise<Evaluation> {
    this.#check(batch);
    await this.#prepare("evaluate", batch.samples);
    const predicted = new Int32Array(batch.samples);
    const result = await this.#lanes.run(programKey("evaluate", batch.samples), batch, (slot) =>
      predicted.set(slot.predicted.subarray(0, batch.samples)),
    );
    return { ...result, predicted };
  }

  async warm(samples: { readonly training: readonly number[]; readonly evaluation: readonly number[] }): Promise<void> {
    for (const count of samples.training) await this.#prepare("train", count);
    for (const count of samples.evaluation) await this.#prepare("evaluate", count);
  }

  close(): Promise<void> {
    return this.#lanes.close();
  }

  #prepare(kind: ProgramKind, samples: number): Promise<void> {
    const key = programKey(kind, samples);
    let prepared = this.#prepared.get(key);
    if (prepared === undefined) {
      prepared = this.#lanes.prepare(buildProgram(kind, this.#options, samples).program);
      this.#prepared.set(key, prepared);
    }
    return prepared;
  }

  #check(batch: MicroBatch): void {
    const { network, microBatchSamples } = this.#options;
    const { height, width, channels } = network.input;
    if (!this.#loaded) throw new Error("a micro-batch came before the state was loaded");
    if (!Number.isInteger(batch.samples) || batch.samples < 1 || batch.samples > microBatchSamples) {
      throw new Error(`a micro-batch has ${batch.samples} samples: 1 to ${microBatchSamples} are possible`);
    }
    refuseOtherLength("pixels", batch.pixels.length, batch.samples * height * width * channels);
    refuseOtherLength("labels", batch.labels.length, batch.samples);
    for (const label of batch.labels) {
      if (label < 0 || label >= network.classes)
        throw new Error(`label ${label} is none of ${network.classes} classes`);
    }
  }
}

function refuseBelowOne(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${name} is ${value}: a whole number of 1 or more is needed`);
}

function refuseOtherLength(name: string, found: number, wanted: number): void {
  if (found !== wanted) throw new Error(`${name} has ${found} elements where ${wanted} are needed`);
}
