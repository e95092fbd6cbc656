export { architectures } from "./architectures/architectures.js";
export {
  checkpointFiles,
  decodeCheckpoint,
  encodeCheckpoint,
  parseManifest,
  readCheckpoint,
  writeCheckpoint,
  writeFileAtomic,
} from "./checkpoint.js";
export { parametersSha256, sha256, stateDigest } from "./digest.js";
export { initialState } from "./initialise.js";
export { layoutOf } from "./layout.js";
export { buildNetwork, describeNetwork, inputName } from "./network.js";
export { decodeSafetensors, encodeSafetensors, float32Values } from "./safetensors.js";
export { formatShape, sizeOf } from "./shape.js";
export { packState, packedStateBytes, stateParts, unpackState } from "./state-bytes.js";
export { applyEvaluation, applyUpdate } from "./update.js";
export type { Architecture } from "./architectures/architecture.js";
export type { CheckpointContext, CheckpointManifest, EncodedCheckpoint } from "./checkpoint.js";
export type { Layout, LayoutEntry, StatisticEntry } from "./layout.js";
export type {
  LayerAttributes,
  LayerRow,
  LayerTensor,
  Network,
  NetworkInput,
  ResolvedLayer,
  TensorRole,
} from "./network.js";
export type { NamedTensor, SafetensorsFile, StoredTensor } from "./safetensors.js";
export type { Shape } from "./shape.js";
export type { TrainingState } from "./training-state.js";
export type { ReducedGradient } from "./update.js";
