import { philox4x32 } from "./philox.js";

// Digits of pi: any fixed key does, as long as it never changes.
const key = [0x243f6a88, 0x85a308d3] as const;

/**
 * The sum modulo 2^64 of a 64-bit hash of every (epoch, place, sample index) that was used. Equal sums mean, up to a chance of
 * 2^-64, that the same samples stood at the same places the same number of times; sums of parts add up to the sum of the
 * whole, in any order. Kept as two words, since a bigint for each sample would be slow.
 */
export class SampleHashSum {
  readonly #counter = new Uint32Array(4);
  readonly #hash = new Uint32Array(4);
  #low = 0;
  #high = 0;

  /**
   * @param epoch 0-based, below 2^32
   * @param position place in the phase's order, 0-based, below 2^32
   * @param sampleIndex the dataset's index of the sample, below 2^32
   */
  add(epoch: number, position: number, sampleIndex: number): void {
    this.#counter[0] = epoch;
    this.#counter[1] = position;
    this.#counter[2] = sampleIndex;
    philox4x32(this.#counter, key, this.#hash);
    const low = this.#low + (this.#hash[0] as number);
    const carry = low >= 2 ** 32 ? 1 : 0;
    this.#low = low >>> 0;
    this.#high = (this.#high + (this.#hash[1] as number) + carry) >>> 0;
  }

  /** In [0, 2^64). */
  get value(): bigint {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }
}
