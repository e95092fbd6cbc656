import type { PixelShape } from "./settings.js";

/** Exact integers, so that sums of parts add up to the same whatever the parts: mean and deviation follow from them. */
export interface ChannelSums {
  /** Pixels summed in each channel: samples x height x width. */
  readonly pixels: number;
  /** By channel, of values 0 to 255. */
  readonly sums: readonly bigint[];
  /** By channel, of squares of values. */
  readonly squares: readonly bigint[];
}

export class ChannelSummer {
  readonly #shape: PixelShape;
  #pixels = 0;
  readonly #sums: bigint[];
  readonly #squares: bigint[];

  constructor(shape: PixelShape) {
    this.#shape = shape;
    this.#sums = Array.from({ length: shape.channels }, () => 0n);
    this.#squares = Array.from({ length: shape.channels }, () => 0n);
  }

  add(pixels: Uint8Array): void {
    const { height, width, channels } = this.#shape;
    this.#pixels += height * width;
    for (let channel = 0; channel < channels; channel++) {
      // Numbers are exact within an image: 2^16 a square, and far fewer than 2^37 pixels.
      let sum = 0;
      let square = 0;
      for (let k = channel; k < pixels.length; k += channels) {
        const value = pixels[k] as number;
        sum += value;
        square += value * value;
      }
      this.#sums[channel] = (this.#sums[channel] as bigint) + BigInt(sum);
      this.#squares[channel] = (this.#squares[channel] as bigint) + BigInt(square);
    }
  }

  result(): ChannelSums {
    return { pixels: this.#pixels, sums: [...this.#sums], squares: [...this.#squares] };
  }
}
