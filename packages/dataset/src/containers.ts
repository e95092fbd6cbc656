/** Files that hold many images as plain pixels: what idx.ts and cifar.ts make of one file's content. */
export interface RawImages {
  /** The bytes that hold the images; a view where the file is stored plainly. */
  readonly bytes: Uint8Array;
  /** Image k is at [first + k * stride, ...): height * width * channels bytes in the layout of RawImageShape. */
  readonly first: number;
  readonly stride: number;
  readonly count: number;
}

/** Larger files cannot be held in one piece. */
export const containerBytesMax = 2 ** 31 - 1;
