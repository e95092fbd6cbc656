/**
 * Float32 vectors that go round: what one position gives back, the next takes, so that after the first positions of a
 * generation nothing large is allocated any more.
 */
export class VectorPool {
  readonly #free = new Map<number, Float32Array[]>();
  #allocatedBytes = 0;

  /** Bytes allocated since the pool was made; grows only while the pool warms up. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  /** A vector of `length` values with unspecified content. */
  take(length: number): Float32Array {
    const vector = this.#free.get(length)?.pop();
    if (vector !== undefined) return vector;
    this.#allocatedBytes += length * Float32Array.BYTES_PER_ELEMENT;
    return new Float32Array(length);
  }

  /** The caller must not use `vector` afterwards. */
  give(vector: Float32Array): void {
    const free = this.#free.get(vector.length);
    if (free === undefined) this.#free.set(vector.length, [vector]);
    else free.push(vector);
  }
}
