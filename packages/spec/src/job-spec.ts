import type { ArchitectureName, DatasetFormat, EngineName } from "./names.js";

/** Height and width in pixels, or channels: 1 (grey) or 3 (RGB). */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/**
 * A validated job spec: every default that does not depend on the dataset is filled in; "auto" and "measured" stand
 * where the dataset decides. `resolve` in the coordinator turns it into a ResolvedJobSpec.
 */
export interface JobSpec {
  /** The run's name: 1-100 of [a-z0-9._-], starting with a letter or digit. Default: the dataset folder's name. */
  readonly name: string;
  /** Keys all randomness. Integer, 0 to 2^53-1. Default 0. */
  readonly seed: number;
  readonly dataset: DatasetSpec;
  readonly preprocess: PreprocessSpec;
  readonly augmentation: AugmentationSpec;
  readonly model: ModelSpec;
  readonly optimizer: OptimizerSpec;
  readonly training: TrainingSpec;
  readonly engine: EngineSpec;
  /** "strict": workers and data-shards of another identity are refused. "relaxed": accepted, weights may differ. */
  readonly determinism: "strict" | "relaxed";
  readonly cluster: ClusterSpec;
}

/** A spec with nothing left to decide: weights are a function of it, the dataset's content and the engine. */
export interface ResolvedJobSpec extends JobSpec {
  readonly dataset: ResolvedDatasetSpec;
  readonly preprocess: ResolvedPreprocessSpec;
  readonly training: ResolvedTrainingSpec;
}

export interface DatasetSpec {
  /** Folder or file, absolute after parsing. */
  readonly path: string;
  /** "auto": recognised from what is there. */
  readonly format: DatasetFormat | "auto";
  /** "auto": the format's own size, else 64x64. */
  readonly imageSize: ImageSize | "auto";
  /** "auto": 1 for MNIST-style files, else 3. */
  readonly channels: 1 | 3 | "auto";
  /** Shares of samples, each in [0, 1], sum at most 1; train above 0. Ready-made splits come first. Default 0.8/0.1/0.1. */
  readonly split: { readonly train: number; readonly validation: number; readonly test: number; readonly seed: number };
}

export interface ResolvedDatasetSpec extends DatasetSpec {
  readonly format: DatasetFormat;
  readonly imageSize: ImageSize;
  readonly channels: 1 | 3;
}

export interface PreprocessSpec {
  /** "crop": shorter side to size, then centre crop (default). "stretch": both sides to size. */
  readonly resize: "crop" | "stretch";
  /** Applied to pixels in [0, 1], per channel, inside the training graph. Default "measured" from the training set. */
  readonly normalize: "measured" | "none" | Normalization;
}

export interface ResolvedPreprocessSpec extends PreprocessSpec {
  readonly normalize: Normalization;
}

/** One value a channel: (x / 255 - mean) / std. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Training samples only; keyed by (seed, epoch, sample index). */
export interface AugmentationSpec {
  /** Probability in [0, 1]. Default 0. */
  readonly horizontalFlip: number;
  /** Pads by so many zero pixels on each side, then crops back at a drawn place. 0 to 64. Default 0: off. */
  readonly randomCropPadding: number;
}

/** Parsed specs have every parameter, and every field of a layer but `inputs`: defaults are in model-defaults.ts. */
export type ModelSpec =
  | { readonly architecture: ArchitectureName; readonly parameters: Readonly<Record<string, number>> }
  | { readonly layers: readonly LayerSpec[] };

interface LayerBase {
  /** Unique; letters, digits, _ and -. Default: type and index, as in "conv2d1". Prefix of its parameters' names. */
  readonly name?: string;
  /** Names of the layers whose outputs it takes ("input": the image). Default: the layer before. */
  readonly inputs?: readonly string[];
}

/** Images are [channels, height, width]; kernels, strides and paddings are in pixels and the same in both directions. */
export type LayerSpec = LayerBase &
  (
    | {
        readonly type: "conv2d";
        readonly filters: number;
        readonly kernel: number;
        readonly stride?: number;
        readonly padding?: number;
        readonly bias?: boolean;
      }
    | { readonly type: "relu" }
    | {
        readonly type: "max-pool" | "average-pool";
        readonly kernel: number;
        readonly stride?: number;
        readonly padding?: number;
      } // stride defaults to kernel
    | { readonly type: "global-average-pool" }
    | { readonly type: "flatten" }
    | { readonly type: "dense"; readonly units: number; readonly bias?: boolean }
    | { readonly type: "dropout"; readonly rate: number } // in [0, 1)
    | { readonly type: "batch-norm"; readonly momentum?: number; readonly epsilon?: number }
    | { readonly type: "add" }
    | { readonly type: "concat" }
  );

/** PyTorch's update rules and defaults. */
export type OptimizerSpec =
  | {
      readonly name: "sgd";
      readonly learningRate: number;
      readonly momentum: number; // default 0.9
      readonly nesterov: boolean; // default false
      readonly weightDecay: number; // default 0
    }
  | {
      readonly name: "adam" | "adamw";
      readonly learningRate: number;
      readonly beta1: number; // default 0.9
      readonly beta2: number; // default 0.999
      readonly epsilon: number; // default 1e-8
      readonly weightDecay: number; // default 0 for adam, 0.01 for adamw
    };

export interface TrainingSpec {
  /** Passes over the training samples, 1 to 100,000. Default 15. */
  readonly epochs: number;
  /** Samples in a global batch, whatever the number of workers. Default 32. */
  readonly batchSize: number;
  /** Micro-batches a global batch, 1 to 1,024; "auto": batchSize/16 rounded down to a power of two, 1 to 8. */
  readonly microBatches: number | "auto";
}

export interface ResolvedTrainingSpec extends TrainingSpec {
  readonly microBatches: number;
}

export interface EngineSpec {
  readonly name: EngineName;
}

/** Never changes a weight: left out of the spec's hash. */
export interface ClusterSpec {
  /** Default 1; at most microBatches. */
  readonly workers: number;
  /** Default 1. */
  readonly dataShards: number;
  /** Threads that all processes of this machine share; 0: as many as there are cores. */
  readonly threads: number;
  /** Bound of each data-shard's cache of decoded images, in MiB. Default 1024. */
  readonly cacheMiB: number;
}
