import type { Layout, Network } from "@lockstep/model";
import { InputError, type EngineName, type Normalization } from "@lockstep/spec";

/** One micro-batch of a training or evaluation position. Its arrays are read during the call only. */
export interface MicroBatch {
  /** The position the micro-batch belongs to; with `microBatch` it keys dropout. 1 or more. */
  readonly position: number;
  /** Index of the micro-batch within its global batch. */
  readonly microBatch: number;
  /** 1 to the engine's `microBatchSamples`. */
  readonly samples: number;
  /** uint8, [samples, height, width, channels]. */
  readonly pixels: Uint8Array;
  /** Class indices, [samples]. */
  readonly labels: Int32Array;
}

export interface BatchResult {
  /** Sum over samples of the cross-entropy: float32 for each sample, added in float64 in sample order. */
  readonly loss: number;
  /** Samples whose largest logit is their label's; the first of equals counts. */
  readonly correct: number;
  /** False where the loss or any element of the gradient or of the batch statistics is infinite or not a number. */
  readonly finite: boolean;
}

export interface Evaluation extends BatchResult {
  /** The class of each sample's largest logit, [samples]. */
  readonly predicted: Int32Array;
}

/**
 * Turns (parameters, micro-batch) into sums. The same inputs give the same bits whatever the number of lanes and threads and
 * whatever else is in flight.
 */
export interface Engine {
  /** What results depend on apart from inputs and graph: engine, version, provider, options. Compared when a worker attaches. */
  readonly identity: string;
  /** SHA-256 (hex) of the printed training and evaluation graphs of a full micro-batch. */
  readonly digest: string;
  /** Length of a gradient's vector: P parameters, then B statistics. */
  readonly vectorLength: number;
  /** Copies the state that the following calls use. Throws while calls are in flight. */
  load(parameters: Float32Array, statistics: Float32Array): void;
  /**
   * Writes the sums over the micro-batch's samples of the loss's gradient (P elements, in layout order), then its batch means
   * and variances (B elements, in layout order) to `out`. Any number of calls may be in flight; each needs an `out` of its own.
   */
  gradient(batch: MicroBatch, out: Float32Array): Promise<BatchResult>;
  /** Loss and predictions with running statistics and without dropout. */
  evaluate(batch: MicroBatch): Promise<Evaluation>;
  /** Makes ready what micro-batches of these sizes need, so that the first call of each is as fast as the next. */
  warm(samples: { readonly training: readonly number[]; readonly evaluation: readonly number[] }): Promise<void>;
  /** Ends every thread. Calls in flight fail. May be called twice. */
  close(): Promise<void>;
}

export interface EngineOptions {
  readonly network: Network;
  readonly layout: Layout;
  readonly normalize: Normalization;
  /** Keys dropout. */
  readonly seed: number;
  /** Samples of a full micro-batch; short ones have fewer. */
  readonly microBatchSamples: number;
  /** Threads to compute with, 1 or more: as many micro-batches are computed side by side, up to `lanesMax`. */
  readonly threads: number;
  /** The most micro-batches that the caller has in flight at once, 1 or more: more lanes than these would idle. */
  readonly lanesMax: number;
}

/** Something that can open engines. */
export interface EngineKind {
  readonly name: EngineName;
  /** What `identity` of its engines will be. @throws InputError where it cannot be loaded on this machine */
  identify(): Promise<string>;
  open(options: EngineOptions): Promise<Engine>;
}

/** The engine of that name. @throws InputError where it is not part of this installation. */
export function findEngine(name: EngineName): EngineKind {
  if (name === "onnxruntime") return { name, identify: identifyOnnxRuntime, open: openOnnxRuntime };
  throw new InputError({
    where: "engine.name",
    found: `"${name}", which this version of Lockstep does not have`,
    allowed: '"onnxruntime"',
  });
}

/** Opens the default engine. @throws InputError where onnxruntime-node cannot be loaded on this machine. */
export function openEngine(options: EngineOptions): Promise<Engine> {
  return findEngine("onnxruntime").open(options);
}

async function identifyOnnxRuntime(): Promise<string> {
  const { identifyOnnxEngine } = await import("./onnx/onnx-engine.js");
  return identifyOnnxEngine();
}

async function openOnnxRuntime(options: EngineOptions): Promise<Engine> {
  // Loaded on demand: a process that only names engines never starts the machinery behind them.
  const { openOnnxEngine } = await import("./onnx/onnx-engine.js");
  return openOnnxEngine(options);
}
