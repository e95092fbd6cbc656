/**
 * What a job tells while it runs: the events of JobService.Watch and the lines of `lockstep train --json`, one JSON object
 * each, `type` first. Losses are means a sample, accuracies are in [0, 1], times are seconds; null stands for "there is none"
 * (no validation split, not yet known).
 */
import type { DatasetFormat, PhaseName } from "./names.js";

/** First: the run has its name and folder. */
export interface StartedEvent {
  readonly type: "job";
  readonly run: string;
  /** Absolute. */
  readonly folder: string;
  readonly workers: number;
  readonly dataShards: number;
}

export interface DatasetEvent {
  readonly type: "dataset";
  readonly path: string;
  readonly format: DatasetFormat;
  /** Class names in label order. */
  readonly classes: readonly string[];
  /** Samples of each split. */
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  /** sha256, hex. */
  readonly digest: string;
}

export interface PhaseEvent {
  readonly type: "phase";
  readonly phase: "preparing" | "training" | "publishing";
}

/** At most about four a second. */
export interface ProgressEvent {
  readonly type: "progress";
  /** 1, 2, 3, ... */
  readonly epoch: number;
  readonly epochs: number;
  readonly phase: PhaseName;
  /** Steps of this phase done, and in all. */
  readonly step: number;
  readonly steps: number;
  /** Samples of this phase done, and in all. */
  readonly samples: number;
  readonly samplesTotal: number;
  /** Over the samples of this phase so far. */
  readonly loss: number;
  readonly accuracy: number;
  readonly imagesPerSecond: number;
  /** Until the end of the phase. */
  readonly secondsLeft: number | null;
}

export interface EpochEvent {
  readonly type: "epoch";
  readonly epoch: number;
  readonly epochs: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly valLoss: number | null;
  readonly valAccuracy: number | null;
  readonly seconds: number;
  readonly imagesPerSecond: number;
  /** Sum mod 2^64 of the hashes of every sample trained on, 16 hex digits. */
  readonly sampleHash: string;
  /** Samples trained on. */
  readonly samples: number;
}

export interface CheckpointEvent {
  readonly type: "checkpoint";
  /** Last position applied. */
  readonly position: number;
  readonly files: readonly string[];
}

export interface LogEvent {
  readonly type: "log";
  readonly level: "debug" | "info" | "warn" | "error";
  /** Process, such as "worker 1". */
  readonly source: string;
  readonly message: string;
}

export interface ErrorEvent {
  readonly type: "error";
  /** One sentence. */
  readonly message: string;
  readonly exitCode: number;
  /** Of the log of a process that ended unasked, oldest first; any text. */
  readonly lastLines?: readonly string[];
}

/** Last, where anything was trained; also after a cancellation. */
export interface SummaryEvent {
  readonly type: "summary";
  readonly run: string;
  readonly workers: number;
  /** Over all parameters and running statistics, hex. */
  readonly parametersSha256: string;
  readonly testAccuracy: number | null;
  readonly testLoss: number | null;
  /** After the last epoch. */
  readonly valAccuracy: number | null;
  /** Training steps applied. */
  readonly steps: number;
  /** Whole epochs trained. */
  readonly epochs: number;
  /** sha256 over the epochs' sampleHash values, hex. */
  readonly samplesSha256: string;
  /** Absolute paths. */
  readonly files: readonly string[];
  readonly seconds: number;
  readonly imagesPerSecond: number;
  readonly cancelled: boolean;
}

export type JobEvent =
  | StartedEvent
  | DatasetEvent
  | PhaseEvent
  | ProgressEvent
  | EpochEvent
  | CheckpointEvent
  | LogEvent
  | ErrorEvent
  | SummaryEvent;
