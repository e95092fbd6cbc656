import type { Transform } from "./transform.js";

/** Mirrors left and right with the given probability. */
export function horizontalFlip(probability: number): Transform {
  return (from, to, { height, width, channels }, draws) => {
    if (draws.uniform() >= probability) {
      to.set(from);
      return;
    }
    for (let row = 0; row < height; row++) {
      const rowStart = row * width * channels;
      for (let column = 0; column < width; column++) {
        const source = rowStart + (width - 1 - column) * channels;
        const target = rowStart + column * channels;
        for (let channel = 0; channel < channels; channel++) to[target + channel] = from[source + channel] as number;
      }
    }
  };
}
