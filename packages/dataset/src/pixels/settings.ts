import type { AugmentationSpec, ImageSize, ResolvedJobSpec } from "@lockstep/spec";

/** Pixels of one sample: uint8, height x width x channels, the channels of a pixel side by side. */
export interface PixelShape {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
}

/** Everything in a spec that the pixels of a sample depend on. */
export interface PixelSettings {
  readonly shape: PixelShape;
  readonly resize: "crop" | "stretch";
  readonly augmentation: AugmentationSpec;
  /** Keys the augmentation. */
  readonly seed: number;
}

export function pixelSettings(spec: {
  readonly dataset: { readonly imageSize: ImageSize; readonly channels: 1 | 3 };
  readonly preprocess: Pick<ResolvedJobSpec["preprocess"], "resize">;
  readonly augmentation: AugmentationSpec;
  readonly seed: number;
}): PixelSettings {
  const { imageSize, channels } = spec.dataset;
  return {
    shape: { height: imageSize.height, width: imageSize.width, channels },
    resize: spec.preprocess.resize,
    augmentation: spec.augmentation,
    seed: spec.seed,
  };
}

export function bytesOf(shape: PixelShape): number {
  return shape.height * shape.width * shape.channels;
}
