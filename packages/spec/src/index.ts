export { formatSpec } from "./format.js";
export { InputError } from "./input-error.js";
export { checkWorkers, defaultMicroBatches, microBatchSamples, resolveMicroBatches } from "./micro-batches.js";
export { architectureParameters, layerDefaults, layerNames, resolveParameters } from "./model-defaults.js";
export { parseJobSpec, parseSpecText } from "./parse.js";
export { canonicalJson, specHash } from "./spec-hash.js";
export { suggestion } from "./suggestion.js";
export { kernelMax, layersMax, layerWidthMax, specBytesMax } from "./limits.js";
export { architectureNames, datasetFormats, engineNames, layerTypes, optimizerNames, phaseNames } from "./names.js";
export type { ArchitectureName, DatasetFormat, EngineName, LayerType, OptimizerName, PhaseName } from "./names.js";
export type {
  AugmentationSpec,
  ClusterSpec,
  DatasetSpec,
  EngineSpec,
  ImageSize,
  JobSpec,
  LayerSpec,
  ModelSpec,
  Normalization,
  OptimizerSpec,
  PreprocessSpec,
  ResolvedDatasetSpec,
  ResolvedJobSpec,
  ResolvedPreprocessSpec,
  ResolvedTrainingSpec,
  TrainingSpec,
} from "./job-spec.js";
export type {
  CheckpointEvent,
  DatasetEvent,
  EpochEvent,
  ErrorEvent,
  JobEvent,
  LogEvent,
  PhaseEvent,
  ProgressEvent,
  StartedEvent,
  SummaryEvent,
} from "./job-event.js";
export type { ArchitectureParameter } from "./model-defaults.js";
export type { ParseOptions } from "./parse.js";
export type { SpecHash } from "./spec-hash.js";
