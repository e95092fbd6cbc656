import type { Draws } from "./draws.js";

/** A permutation of 0..n-1, each of the n! equally likely (Fisher-Yates, from the end); n up to 2^32-1. */
export function permutation(n: number, draws: Draws): Uint32Array {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  for (let i = n - 1; i > 0; i--) {
    const j = draws.below(i + 1);
    const swapped = order[i] as number;
    order[i] = order[j] as number;
    order[j] = swapped;
  }
  return order;
}
