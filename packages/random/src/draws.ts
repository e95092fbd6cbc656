import { philox4x32 } from "./philox.js";

const blocksMax = 2 ** 32;

/** Random words of one purpose, in order. Two instances made with the same key give the same words. */
export interface Draws {
  /** Integer in [0, 2^32). */
  uint32(): number;
  /** A multiple of 2^-24 in [0, 1): exact in float32. Takes one word. */
  uniform(): number;
  /** Integer in [0, n), each equally likely; n from 1 to 2^32. Takes as many words as rejection needs. */
  below(n: number): number;
  /** The next `out.length` words, as that many calls of uint32 would give them. */
  fill(out: Uint32Array): void;
}

/**
 * The words of Philox at (block, place[0], place[1], place[2]) for block = 0, 1, ...: 2^34 words a place.
 * Keys are composed in keys.ts and nowhere else.
 */
export class PhiloxDraws implements Draws {
  readonly #key: readonly [number, number];
  readonly #counter: Uint32Array;
  readonly #block = new Uint32Array(4);
  #blockCount = 0;
  #used = 4;

  constructor(key: readonly [number, number], place: readonly [number, number, number]) {
    this.#key = key;
    this.#counter = Uint32Array.of(0, ...place);
  }

  uint32(): number {
    if (this.#used === 4) {
      this.#nextBlock(this.#block, 0);
      this.#used = 0;
    }
    return this.#block[this.#used++] as number;
  }

  uniform(): number {
    return (this.uint32() >>> 8) / 0x1000000;
  }

  below(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) throw new Error(`cannot draw below ${n}: 1 to 2^32 is possible`);
    const accepted = 2 ** 32 - (2 ** 32 % n);
    let word = this.uint32();
    while (word >= accepted) word = this.uint32();
    return word % n;
  }

  fill(out: Uint32Array): void {
    let filled = 0;
    while (filled < out.length && this.#used < 4) out[filled++] = this.uint32();
    for (; filled + 4 <= out.length; filled += 4) this.#nextBlock(out, filled);
    while (filled < out.length) out[filled++] = this.uint32();
  }

  #nextBlock(out: Uint32Array, offset: number): void {
    if (this.#blockCount === blocksMax) throw new Error("no words left: a place of the generator holds 2^34");
    this.#counter[0] = this.#blockCount++;
    philox4x32(this.#counter, this.#key, out, offset);
  }
}
