export { GraphBuilder } from "./graph.js";
export { differentiate } from "./differentiate.js";
export { lower } from "./lower.js";
export { encode } from "./encode.js";
export { print } from "./print.js";

export type { Graph, GraphOutput } from "./graph.js";
export type { ElementType, Node, Operator, Shape, Signature, Value } from "./operator.js";
export type { OnnxAttribute, OnnxConstant, OnnxGraph, OnnxNode, OnnxPort } from "./onnx.js";
export type { ConvolutionAttributes } from "./operators/convolution.js";
export type { ChannelStatistics } from "./operators/normalisation.js";
export type { PoolAttributes } from "./operators/pooling.js";
