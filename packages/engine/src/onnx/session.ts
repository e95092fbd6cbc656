// The one import of onnxruntime-node. It runs inside a lane's thread, because `run` blocks the thread that calls it.
import { createRequire } from "node:module";
import type * as onnxRuntime from "onnxruntime-node";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import { elementCount, type Program, type ProgramInput, type ProgramOutput } from "./program.js";

export type OnnxRuntime = typeof onnxRuntime;

/**
 * Options that the engine's identity names: results could depend on them. Memory patterns are off: a third less memory and no
 * slower on ResNet-18. One thread: see lanes.ts.
 */
const determiningOptions = {
  executionProviders: ["cpu"],
  executionMode: "sequential",
  graphOptimizationLevel: "all",
  enableMemPattern: false,
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
} as const satisfies InferenceSession.SessionOptions;

/** Loads the native library. Throws what Node throws where the package or its binary for this machine is missing. */
export function loadOnnxRuntime(): OnnxRuntime {
  return createRequire(import.meta.url)("onnxruntime-node") as OnnxRuntime;
}

export function runtimeVersion(runtime: OnnxRuntime): string {
  return runtime.env.versions.node ?? "of unknown version";
}

export function engineIdentity(version: string): string {
  const { executionProviders, graphOptimizationLevel, intraOpNumThreads } = determiningOptions;
  return `onnxruntime-node ${version} ${executionProviders.join("+")} float32 optimization=${graphOptimizationLevel} threads=${intraOpNumThreads}`;
}

/** A lane's own arrays, which its sessions read and write in place: ONNX Runtime refuses shared memory. */
export interface LaneArrays {
  /** Parameters, then statistics. */
  readonly state: Float32Array;
  /** Gradient sums, then batch statistics. */
  readonly vector: Float32Array;
}

/** A program made ready: its tensors are views that stay the same from run to run. */
export class ProgramSession {
  readonly program: Program;
  readonly pixels: Uint8Array;
  readonly labels: Int32Array;
  /** Whether a run fills the lane's vector. */
  readonly writesVector: boolean;
  /** Cross-entropy of each sample. */
  readonly losses: Float32Array;
  /** [samples, classes]. */
  readonly logits: Float32Array;
  readonly dropout: { layer: string; rate: number; mask: Uint8Array }[] = [];
  readonly #session: InferenceSession;
  readonly #feeds: Record<string, Tensor> = {};
  readonly #fetches: Record<string, Tensor> = {};

  static async open(runtime: OnnxRuntime, program: Program, arrays: LaneArrays): Promise<ProgramSession> {
    const session = await runtime.InferenceSession.create(program.model, {
      ...determiningOptions,
      logSeverityLevel: 3,
    });
    return new ProgramSession(runtime, session, program, arrays);
  }

  constructor(runtime: OnnxRuntime, session: InferenceSession, program: Program, arrays: LaneArrays) {
    this.#session = session;
    this.program = program;
    this.pixels = new Uint8Array(sizeOf(program.inputs, (input) => input.from === "pixels"));
    this.labels = new Int32Array(sizeOf(program.inputs, (input) => input.from === "labels"));
    this.writesVector = program.outputs.some((output) => output.to === "vector");
    this.losses = new Float32Array(sizeOf(program.outputs, (output) => output.to === "losses"));
    this.logits = new Float32Array(sizeOf(program.outputs, (output) => output.to === "logits"));
    for (const input of program.inputs) this.#feeds[input.name] = this.#inputTensor(runtime, input, arrays);
    for (const output of program.outputs) this.#fetches[output.name] = this.#outputTensor(runtime, output, arrays);
  }

  #inputTensor(runtime: OnnxRuntime, input: ProgramInput, arrays: LaneArrays): Tensor {
    const length = elementCount(input.shape);
    switch (input.from) {
      case "state":
        return new runtime.Tensor("float32", arrays.state.subarray(input.offset, input.offset + length), input.shape);
      case "pixels":
        return new runtime.Tensor("uint8", this.pixels, input.shape);
      case "labels":
        return new runtime.Tensor("int32", this.labels, input.shape);
      case "dropout": {
        const mask = new Uint8Array(length);
        this.dropout.push({ layer: input.layer, rate: input.rate, mask });
        return new runtime.Tensor("uint8", mask, input.shape);
      }
    }
  }

  #outputTensor(runtime: OnnxRuntime, output: ProgramOutput, arrays: LaneArrays): Tensor {
    const length = elementCount(output.shape);
    switch (output.to) {
      case "vector":
        return new runtime.Tensor(
          "float32",
          arrays.vector.subarray(output.offset, output.offset + length),
          output.shape,
        );
      case "losses":
        return new runtime.Tensor("float32", this.losses, output.shape);
      case "logits":
        return new runtime.Tensor("float32", this.logits, output.shape);
    }
  }

  async run(): Promise<void> {
    await this.#session.run(this.#feeds, this.#fetches);
  }
}

function sizeOf<P extends { readonly shape: readonly number[] }>(
  ports: readonly P[],
  wanted: (port: P) => boolean,
): number {
  const port = ports.find(wanted);
  return port === undefined ? 0 : elementCount(port.shape);
}
