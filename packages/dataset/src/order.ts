import type { PhaseName } from "@lockstep/spec";
import { orderDraws, permutation } from "@lockstep/random";
import type { Splits } from "./split.js";

/**
 * The order in which one epoch uses the training samples: a permutation keyed by (seed, epoch), the same on every machine.
 * @param indices the training split: sample indices, ascending
 * @param epoch 0-based
 */
export function epochOrder(indices: Uint32Array, seed: number, epoch: number): Uint32Array {
  const order = permutation(indices.length, orderDraws(seed, epoch));
  for (let place = 0; place < order.length; place++) order[place] = indices[order[place] as number] as number;
  return order;
}

/** Sample indices in the order that a phase uses them; evaluation takes its split as it lies. */
export function phaseOrder(splits: Splits, phase: PhaseName, seed: number, epoch: number): Uint32Array {
  return phase === "train" ? epochOrder(splits.train, seed, epoch) : splits[phase];
}
