/**
 * Decoded samples at the job's size, all of the same length, bounded in bytes.
 *
 * An epoch uses each sample once, in a new order. Whatever was used longest ago is therefore no less likely to be needed
 * next, and replacing it only makes room for what has just been used up: with room for half of the samples, least-recently-used
 * would keep a hit rate of 0.15 (the share of pairs of uniform u, v with uv >= 0.5), leaving the cache alone keeps 0.5. So a full
 * cache takes a newcomer only in the place of a sample that the last whole epoch did not use: one that moved to another shard.
 */
export class DecodedCache {
  readonly #sampleBytes: number;
  readonly #capacity: number;
  readonly #slabs: Uint8Array[] = [];
  readonly #slotsPerSlab: number;
  /** By sample: its slot, or -1. */
  readonly #slotOf: Int32Array;
  /** By slot: its sample, and the last epoch that used it. */
  readonly #sampleIn: Int32Array;
  readonly #usedIn: Int32Array;
  #filled = 0;
  #hand = 0;
  #hits = 0;
  #misses = 0;

  constructor(options: { readonly sampleCount: number; readonly sampleBytes: number; readonly bytesMax: number }) {
    this.#sampleBytes = options.sampleBytes;
    this.#capacity = Math.min(options.sampleCount, Math.floor(options.bytesMax / options.sampleBytes));
    this.#slotsPerSlab = Math.max(1, Math.floor(slabBytes / options.sampleBytes));
    this.#slotOf = new Int32Array(options.sampleCount).fill(-1);
    this.#sampleIn = new Int32Array(this.#capacity).fill(-1);
    this.#usedIn = new Int32Array(this.#capacity);
  }

  /** The sample's pixels, or undefined. The view holds until the next `put`. */
  get(sampleIndex: number, epoch: number): Uint8Array | undefined {
    const slot = this.#slotOf[sampleIndex] as number;
    if (slot < 0) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    this.#usedIn[slot] = Math.max(epoch, this.#usedIn[slot] as number);
    return this.#view(slot);
  }

  /** Keeps a copy where there is room. */
  put(sampleIndex: number, epoch: number, pixels: Uint8Array): void {
    if ((this.#slotOf[sampleIndex] as number) >= 0) return;
    const slot = this.#filled < this.#capacity ? this.#nextSlot() : this.#forgottenSlot(epoch);
    if (slot === undefined) return;
    this.#view(slot).set(pixels);
    this.#slotOf[sampleIndex] = slot;
    this.#sampleIn[slot] = sampleIndex;
    this.#usedIn[slot] = epoch;
  }

  /** Every sample that is kept. */
  *samples(): Generator<number> {
    for (let slot = 0; slot < this.#filled; slot++) yield this.#sampleIn[slot] as number;
  }

  statistics(): { readonly bytes: number; readonly hits: number; readonly misses: number } {
    return { bytes: this.#filled * this.#sampleBytes, hits: this.#hits, misses: this.#misses };
  }

  #nextSlot(): number {
    const slot = this.#filled++;
    if (slot % this.#slotsPerSlab === 0) {
      const slots = Math.min(this.#slotsPerSlab, this.#capacity - slot);
      this.#slabs.push(new Uint8Array(slots * this.#sampleBytes));
    }
    return slot;
  }

  /** A slot that neither this epoch nor the one before has used, its sample gone; a few are looked at for each call. */
  #forgottenSlot(epoch: number): number | undefined {
    for (let looked = 0; looked < Math.min(slotsLookedAt, this.#capacity); looked++) {
      const slot = this.#hand;
      this.#hand = (this.#hand + 1) % this.#capacity;
      if ((this.#usedIn[slot] as number) >= epoch - 1) continue;
      this.#slotOf[this.#sampleIn[slot] as number] = -1;
      return slot;
    }
    return undefined;
  }

  #view(slot: number): Uint8Array {
    const slab = this.#slabs[Math.floor(slot / this.#slotsPerSlab)] as Uint8Array;
    const start = (slot % this.#slotsPerSlab) * this.#sampleBytes;
    return slab.subarray(start, start + this.#sampleBytes);
  }
}

/** Memory is taken in pieces of this size as it fills, not all at once and not by the sample. */
const slabBytes = 4 * 1024 * 1024;

const slotsLookedAt = 8;
