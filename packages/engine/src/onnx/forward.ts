import type { GraphBuilder, Value } from "@lockstep/graph";
import { inputName, type Network, type ResolvedLayer } from "@lockstep/model";
import type { Normalization } from "@lockstep/spec";

/** Where a forward pass gets its values from: what differs between training, evaluation and the deployable model. */
export interface ForwardSource {
  /** uint8 [N, H, W, C]. */
  readonly image: Value;
  readonly normalize: Normalization;
  /** A parameter or statistic by its layout name. */
  tensor(name: string): Value;
  /** Absent in evaluation: dropout passes its input on, and batch-norm takes the running statistics. */
  readonly training?: {
    /** uint8 mask of a dropout layer, 1 where an element is kept. */
    mask(layer: string, shape: readonly number[]): Value;
    /** Receives a batch-norm layer's batch mean and unbiased variance, each [C], by the names of its running statistics. */
    statistic(name: string, value: Value): void;
  };
}

/** Writes the network's operators and returns the logits, [N, classes]. */
export function forward(graph: GraphBuilder, network: Network, source: ForwardSource): Value {
  const outputs = new Map<string, Value>([[inputName, graph.castNormalise(source.image, source.normalize)]]);
  let last: Value | undefined;
  for (const layer of network.layers) {
    const inputs = layer.inputs.map((name) => {
      const value = outputs.get(name);
      if (value === undefined) throw new Error(`layer ${layer.name} takes ${name}, which does not come before it`);
      return value;
    });
    last = layerOutput(graph, layer, inputs, source);
    outputs.set(layer.name, last);
  }
  if (last === undefined) throw new Error("the network has no layers");
  return last;
}

function layerOutput(
  graph: GraphBuilder,
  layer: ResolvedLayer,
  inputs: readonly Value[],
  source: ForwardSource,
): Value {
  const x = inputs[0];
  if (x === undefined) throw new Error(`layer ${layer.name} has no input`);
  const tensor = (suffix: string) => source.tensor(`${layer.name}.${suffix}`);
  switch (layer.type) {
    case "conv2d": {
      const y = graph.convolution(x, tensor("weight"), { stride: layer.stride, padding: layer.padding });
      return layer.bias ? graph.addBias(y, tensor("bias")) : y;
    }
    case "dense": {
      const y = graph.dense(x, tensor("weight"));
      return layer.bias ? graph.addBias(y, tensor("bias")) : y;
    }
    case "relu":
      return graph.relu(x);
    case "max-pool":
      return graph.maxPool(x, { kernel: layer.kernel, stride: layer.stride, padding: layer.padding });
    case "average-pool":
      return graph.averagePool(x, { kernel: layer.kernel, stride: layer.stride, padding: layer.padding });
    case "global-average-pool":
      return graph.flatten(graph.globalAveragePool(x));
    case "flatten":
      return graph.flatten(x);
    case "dropout":
      if (source.training === undefined || layer.rate === 0) return x;
      return graph.dropout(x, source.training.mask(layer.name, x.shape), { rate: layer.rate });
    case "batch-norm":
      return batchNorm(graph, layer, x, source);
    case "add":
      return inputs.slice(1).reduce((sum, value) => graph.add(sum, value), x);
    case "concat":
      return graph.concat(inputs);
    default:
      return layer satisfies never;
  }
}

function batchNorm(
  graph: GraphBuilder,
  layer: ResolvedLayer & { readonly type: "batch-norm" },
  x: Value,
  source: ForwardSource,
): Value {
  const { name, epsilon } = layer;
  const scale = source.tensor(`${name}.weight`);
  const shift = source.tensor(`${name}.bias`);
  if (source.training === undefined) {
    const mean = source.tensor(`${name}.running_mean`);
    return graph.batchNormInference(x, scale, shift, mean, source.tensor(`${name}.running_var`), { epsilon });
  }
  const { y, mean, variance } = graph.batchNormTraining(x, scale, shift, { epsilon });
  source.training.statistic(`${name}.running_mean`, mean);
  source.training.statistic(`${name}.running_var`, variance);
  return y;
}
