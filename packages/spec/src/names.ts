// The vocabulary of job specs. Tables elsewhere are typed by these names, so that forgetting one does not compile.

export const architectureNames = ["simple-cnn", "small-cnn"] as const;
export type ArchitectureName = (typeof architectureNames)[number];

export const optimizerNames = ["sgd", "adam", "adamw"] as const;
export type OptimizerName = (typeof optimizerNames)[number];

export const engineNames = ["onnxruntime", "tensorflow"] as const;
export type EngineName = (typeof engineNames)[number];

export const datasetFormats = ["folder", "idx", "cifar-binary", "cifar-python"] as const;
export type DatasetFormat = (typeof datasetFormats)[number];

export const layerTypes = [
  "conv2d",
  "relu",
  "max-pool",
  "average-pool",
  "global-average-pool",
  "flatten",
  "dense",
  "dropout",
  "batch-norm",
  "add",
  "concat",
] as const;
export type LayerType = (typeof layerTypes)[number];

/** The phases of a job's positions: training steps, then evaluation of validation and (at the end) test samples. */
export const phaseNames = ["train", "validation", "test"] as const;
export type PhaseName = (typeof phaseNames)[number];
