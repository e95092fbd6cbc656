import type { Draws } from "@lockstep/random";
import type { PixelShape } from "../settings.js";

/**
 * A random change to the pixels of one training sample. Reads `from`, writes all of `to`, which is another buffer of the same
 * shape. All that is random comes from `draws`; how many it takes must not depend on the pixels.
 */
export type Transform = (from: Uint8Array, to: Uint8Array, shape: PixelShape, draws: Draws) => void;
