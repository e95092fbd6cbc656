/**
 * Encoded or plain image -> pixels of the job's size. The one importer of sharp.
 *
 * What happens, in order: the first frame is decoded (GIF, TIFF and WebP may hold several); it is turned as its EXIF
 * orientation says; resized (transforms/resize.ts); colours become sRGB, or grey for one channel, through the embedded
 * profile where there is one; transparency is laid on black; 8 bits a channel.
 */
import sharp, { type Sharp } from "sharp";
import type { RawImageShape } from "../source.js";
import { bytesOf, type PixelSettings, type PixelShape } from "./settings.js";
import { transformsVersion } from "./transforms/pipeline.js";
import { resizeTo } from "./transforms/resize.js";

// One thread an image: images are decoded side by side, and how many at once is the reader's budget.
sharp.concurrency(1);
// libvips's cache of operations keeps memory for images that are read once.
sharp.cache(false);

/** What decoded pixels depend on beside the file and the settings. */
export const pixelIdentity = `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}, transforms ${transformsVersion}`;

/** Width times height of an image before resizing: above it, a small file could take gigabytes to decode. */
export const inputPixelsMax = 2 ** 28;

type DecodeSettings = Pick<PixelSettings, "shape" | "resize">;

/**
 * Pixels of an encoded image at the job's size: uint8, height x width x channels.
 * @throws Error of libvips when the content is damaged, cut short or no image
 */
export async function decodeImage(content: Uint8Array, settings: DecodeSettings): Promise<Uint8Array> {
  const image = sharp(content, { failOn: "error", limitInputPixels: inputPixelsMax, autoOrient: true, pages: 1 });
  return finish(image, settings);
}

/** Plain pixels (in the layout of `shape`) at the job's size. */
export async function resizeRaw(
  pixels: Uint8Array,
  shape: RawImageShape,
  settings: DecodeSettings,
): Promise<Uint8Array> {
  const interleaved = shape.layout === "hwc" ? pixels : interleave(pixels, shape);
  const { height, width, channels } = settings.shape;
  const isSameSize = shape.height === height && shape.width === width;
  if (isSameSize && shape.channels === channels) return interleaved;
  if (isSameSize && shape.channels === 1) return greyToColour(interleaved);
  const raw = { width: shape.width, height: shape.height, channels: shape.channels };
  return finish(sharp(interleaved, { raw }), settings);
}

async function finish(image: Sharp, settings: DecodeSettings): Promise<Uint8Array> {
  const { shape } = settings;
  const { data, info } = await image
    .resize(resizeTo(settings))
    .flatten({ background: "#000" })
    .toColourspace(shape.channels === 1 ? "b-w" : "srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  const pixels = info.channels === 1 && shape.channels === 3 ? greyToColour(data) : data;
  if (info.width !== shape.width || info.height !== shape.height || pixels.length !== bytesOf(shape)) {
    throw new Error(`decoded to ${info.width}x${info.height} with ${info.channels} channels`);
  }
  return pixels;
}

function greyToColour(grey: Uint8Array): Uint8Array {
  const colour = new Uint8Array(grey.length * 3);
  for (let k = 0; k < grey.length; k++) colour.fill(grey[k] as number, 3 * k, 3 * k + 3);
  return colour;
}

/** Planes of channels -> pixels with their channels side by side. */
function interleave(planes: Uint8Array, { height, width, channels }: PixelShape): Uint8Array {
  const plane = height * width;
  const pixels = new Uint8Array(plane * channels);
  for (let channel = 0; channel < channels; channel++) {
    for (let k = 0; k < plane; k++) pixels[k * channels + channel] = planes[channel * plane + k] as number;
  }
  return pixels;
}
