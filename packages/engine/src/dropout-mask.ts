import { dropoutDraws } from "@lockstep/random";

/** What a mask is a function of. */
export interface DropoutKey {
  readonly seed: number;
  readonly position: number;
  readonly microBatch: number;
  /** Name of the dropout layer. */
  readonly layer: string;
}

let words = new Uint32Array(0);

/**
 * Fills `mask` ([samples, ...] of a layer's input) with 0, with probability `rate`, or 1 (kept; the graph divides what is kept
 * by 1 - rate, as PyTorch does). One random word an element.
 */
export function fillDropoutMask(
  mask: Uint8Array,
  rate: number,
  { seed, position, microBatch, layer }: DropoutKey,
): void {
  if (words.length < mask.length) words = new Uint32Array(mask.length);
  const drawn = words.subarray(0, mask.length);
  dropoutDraws(seed, position, microBatch, layer).fill(drawn);
  const dropBelow = rate * 2 ** 32;
  for (let i = 0; i < mask.length; i++) mask[i] = (drawn[i] as number) < dropBelow ? 0 : 1;
}
