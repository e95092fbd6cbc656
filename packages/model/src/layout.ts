import type { LayerTensor, Network, TensorRole } from "./network.js";
import { type Shape, sizeOf } from "./shape.js";

/** Where a tensor stands in a flat vector. */
export interface LayoutEntry {
  /** As torchvision would name it: "conv1.weight". */
  readonly name: string;
  /** In PyTorch's order. */
  readonly shape: Shape;
  /** First value, counted from the start of its own vector: parameters, or statistics. */
  readonly offset: number;
  /** Number of values. */
  readonly length: number;
  readonly role: TensorRole;
  /** Name of the layer that owns it. */
  readonly layer: string;
}

/** A running statistic, with its layer's share of the new value in (0, 1]. */
export interface StatisticEntry extends LayoutEntry {
  readonly momentum: number;
}

/**
 * The flat form of a network's tensors. A gradient vector is parameterCount gradient values, in the order of `parameters`,
 * then statisticCount batch statistics, in the order of `statistics`.
 */
export interface Layout {
  readonly parameters: readonly LayoutEntry[];
  readonly statistics: readonly StatisticEntry[];
  /** Values in all parameters: P. */
  readonly parameterCount: number;
  /** Values in all statistics: B. */
  readonly statisticCount: number;
}

/** The layout of a network: tensors in layer order, without gaps. */
export function layoutOf(network: Network): Layout {
  const parameters: LayoutEntry[] = [];
  const statistics: StatisticEntry[] = [];
  let parameterCount = 0;
  let statisticCount = 0;
  for (const layer of network.layers) {
    for (const tensor of layer.parameters) {
      const entry = entryOf(tensor, layer.name, parameterCount);
      parameters.push(entry);
      parameterCount += entry.length;
    }
    if (layer.type !== "batch-norm") continue;
    for (const tensor of layer.statistics) {
      const entry = entryOf(tensor, layer.name, statisticCount);
      statistics.push({ ...entry, momentum: layer.momentum });
      statisticCount += entry.length;
    }
  }
  return { parameters, statistics, parameterCount, statisticCount };
}

function entryOf(tensor: LayerTensor, layer: string, offset: number): LayoutEntry {
  const { name, shape, role } = tensor;
  return { name, shape, offset, length: sizeOf(shape), role, layer };
}
