export { InputError } from "./input-error.js";
export {
  architectureNames,
  datasetFormats,
  engineNames,
  layerTypes,
  optimizerNames,
  phaseNames,
} from "./names.js";
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
