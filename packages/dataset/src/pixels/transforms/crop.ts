import type { Transform } from "./transform.js";

/**
 * Pads the image by `padding` zero pixels on each side and cuts its own size out again at a drawn place: a shift by up to
 * `padding` pixels each way, black where nothing was.
 */
export function randomCrop(padding: number): Transform {
  return (from, to, { height, width, channels }, draws) => {
    const down = draws.below(2 * padding + 1) - padding;
    const right = draws.below(2 * padding + 1) - padding;
    const rowBytes = width * channels;
    const kept = Math.max(0, width - Math.abs(right)) * channels;
    const source = Math.max(0, right) * channels;
    const target = Math.max(0, -right) * channels;
    to.fill(0);
    if (kept === 0) return; // shifted out of sight
    for (let row = Math.max(0, -down); row < Math.min(height, height - down); row++) {
      const start = (row + down) * rowBytes + source;
      to.set(from.subarray(start, start + kept), row * rowBytes + target);
    }
  };
}
