export { findEngine, openEngine } from "./engine.js";
export { exportMetadataKeys, exportModel } from "./onnx/export.js";
export type { BatchResult, Engine, EngineKind, EngineOptions, Evaluation, MicroBatch } from "./engine.js";
export type { ExportContext } from "./onnx/export.js";
