import { augmentationDraws } from "@lockstep/random";
import { bytesOf, type PixelSettings } from "../settings.js";
import { randomCrop } from "./crop.js";
import { horizontalFlip } from "./flip.js";
import type { Transform } from "./transform.js";

/**
 * Grows whenever the same settings would give other pixels than before; part of the decoder identity, so that no job mixes two
 * versions.
 */
export const transformsVersion = 1;

/**
 * The augmentation of one job, applied to decoded pixels of the job's size. Draws are keyed by (seed, epoch, sample index)
 * and handed from transform to transform in the order below, so a new transform is added at the end: then the others
 * keep their draws.
 */
export class Pipeline {
  readonly #transforms: readonly Transform[];
  readonly #settings: PixelSettings;
  /** Between two transforms; a sample passes through without an await, so one pair serves all. */
  readonly #between: readonly [Uint8Array, Uint8Array];

  constructor(settings: PixelSettings) {
    const { horizontalFlip: flip, randomCropPadding: padding } = settings.augmentation;
    this.#settings = settings;
    this.#transforms = [...(padding > 0 ? [randomCrop(padding)] : []), ...(flip > 0 ? [horizontalFlip(flip)] : [])];
    this.#between = [new Uint8Array(bytesOf(settings.shape)), new Uint8Array(bytesOf(settings.shape))];
  }

  /** Writes the augmented sample to `to`; `from` stays as it is. */
  apply(from: Uint8Array, to: Uint8Array, epoch: number, sampleIndex: number): void {
    if (this.#transforms.length === 0) {
      to.set(from);
      return;
    }
    const { seed, shape } = this.#settings;
    const draws = augmentationDraws(seed, epoch, sampleIndex);
    const last = this.#transforms.length - 1;
    let current = from;
    this.#transforms.forEach((transform, k) => {
      const next = k === last ? to : (this.#between[k % 2] as Uint8Array);
      transform(current, next, shape, draws);
      current = next;
    });
  }
}
