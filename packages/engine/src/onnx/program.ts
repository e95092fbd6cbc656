/** Training steps and evaluations are programs: an encoded graph, and where each of its inputs and outputs comes from and goes. */
export interface Program {
  /** "train/16", "evaluate/16": kind and samples. */
  readonly key: string;
  readonly samples: number;
  /** ONNX ModelProto. */
  readonly model: Uint8Array;
  readonly inputs: readonly ProgramInput[];
  readonly outputs: readonly ProgramOutput[];
}

interface Port {
  /** Name of the graph's input or output. */
  readonly name: string;
  readonly shape: readonly number[];
}

export type ProgramInput = Port &
  (
    | {
        /** float32, part of the state vector: parameters, then statistics. */ readonly from: "state";
        readonly offset: number;
      }
    | { /** uint8, NHWC. */ readonly from: "pixels" }
    | { /** int32 class indices, one a sample. */ readonly from: "labels" }
    | {
        /** uint8: 0 where dropped, 1 where kept. */ readonly from: "dropout";
        readonly layer: string;
        readonly rate: number;
      }
  );

export type ProgramOutput = Port &
  (
    | {
        /** float32, part of the gradient vector: gradient sums, then batch statistics. */ readonly to: "vector";
        readonly offset: number;
      }
    | { /** float32, one a sample. */ readonly to: "losses" }
    | { /** float32, [samples, classes]. */ readonly to: "logits" }
  );

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
