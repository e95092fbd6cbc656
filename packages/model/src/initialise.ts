// PyTorch's defaults. Convolution and dense: kaiming_uniform_ with a = sqrt(5), that is uniform in [-bound, bound) with
// bound = 1 / sqrt(fan in), for weights and biases alike; fan in = values that go into one output. Batch-norm: scale 1, shift 0,
// running mean 0, running variance 1. Each parameter's draws are keyed by its name: adding a layer leaves the others as they were.

import { initialisationDraws } from "@lockstep/random";
import type { OptimizerSpec } from "@lockstep/spec";
import type { Layout, LayoutEntry } from "./layout.js";
import { type Network, type ResolvedLayer } from "./network.js";
import { optimiserOf } from "./optimisers/optimiser.js";
import { sizeOf } from "./shape.js";
import type { TrainingState } from "./training-state.js";

/** S(0): the state before the first position. */
export function initialState(network: Network, layout: Layout, optimizer: OptimizerSpec, seed: number): TrainingState {
  const parameters = new Float32Array(layout.parameterCount);
  const layers = new Map(network.layers.map((layer) => [layer.name, layer]));
  for (const entry of layout.parameters) {
    const values = parameters.subarray(entry.offset, entry.offset + entry.length);
    if (entry.role === "scale") values.fill(1);
    if (entry.role === "weight" || entry.role === "bias") {
      fillUniform(values, 1 / Math.sqrt(fanIn(layers.get(entry.layer), entry)), seed, entry.name);
    }
  }
  const statistics = new Float32Array(layout.statisticCount);
  for (const entry of layout.statistics) {
    if (entry.role === "running-variance") statistics.fill(1, entry.offset, entry.offset + entry.length);
  }
  const { slotNames, scalarNames } = optimiserOf(optimizer);
  return {
    position: 0,
    updates: 0,
    chain: 0n,
    parameters,
    statistics,
    slots: slotNames.map(() => new Float32Array(layout.parameterCount)),
    scalars: new Float64Array(scalarNames.length).fill(1),
  };
}

function fanIn(layer: ResolvedLayer | undefined, entry: LayoutEntry): number {
  const weight = layer?.parameters.find((tensor) => tensor.role === "weight");
  if (weight === undefined) throw new Error(`${entry.name} has no weight beside it`);
  return sizeOf(weight.shape.slice(1));
}

/** (2u - 1) * bound, u a multiple of 2^-24 in [0, 1): in float64, rounded to float32 when stored. */
function fillUniform(values: Float32Array, bound: number, seed: number, name: string): void {
  const draws = initialisationDraws(seed, name);
  for (let i = 0; i < values.length; i++) values[i] = (2 * draws.uniform() - 1) * bound;
}
