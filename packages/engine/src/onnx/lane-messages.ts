import type { Program } from "./program.js";

/** What a lane is started with. */
export interface LaneStart {
  readonly seed: number;
  /** P + B, the length of the state and of a gradient. */
  readonly vectorLength: number;
  /** float32 [P + B], written by `load` while the lane is idle. */
  readonly state: SharedArrayBuffer;
  readonly slots: readonly SharedArrayBuffer[];
  /** Memory of a LaneControl. */
  readonly control: SharedArrayBuffer;
  readonly slotShape: SlotShape;
}

/** Sizes of one slot: the shared memory through which a micro-batch enters a lane and its result leaves. */
export interface SlotShape {
  readonly vectorLength: number;
  readonly samplesMax: number;
  /** Bytes of one sample's pixels. */
  readonly sampleBytes: number;
}

export type ToLane =
  | { readonly type: "program"; readonly program: Program }
  | { readonly type: "run"; readonly run: RunOrder }
  | { readonly type: "close" };

export interface RunOrder {
  readonly task: number;
  readonly program: string;
  readonly slot: number;
  /** Counts calls of `load`: a lane copies the state when the number is new to it. */
  readonly stateVersion: number;
  readonly samples: number;
  readonly position: number;
  readonly microBatch: number;
}

export interface TaskResult {
  readonly loss: number;
  readonly correct: number;
  readonly finite: boolean;
}

export type FromLane =
  | { readonly type: "ready"; /** Of onnxruntime-node. */ readonly version: string }
  | { readonly type: "unavailable"; readonly message: string }
  | { readonly type: "prepared"; readonly program: string }
  | ({ readonly type: "done"; readonly task: number } & TaskResult)
  | { readonly type: "failed"; readonly task: number | undefined; readonly program: string; readonly message: string };
