import type { PixelSettings } from "../settings.js";

/** What decode.ts asks of sharp. */
export interface Resize {
  readonly width: number;
  readonly height: number;
  /** "cover": the image is scaled until it just covers the size, and what is over is cut off on both sides alike. */
  readonly fit: "cover" | "fill";
  readonly position: "centre";
  readonly kernel: "lanczos3";
  readonly fastShrinkOnLoad: boolean;
}

/**
 * How an image comes to the job's size. "crop": shorter side to size, then centre crop; "stretch": both sides to size.
 * Lanczos with 3 lobes, which widens with the factor when shrinking, so that nothing aliases. A JPEG may be shrunk by
 * a power of two while it is decoded, but never below twice the size: closer than that, shrinking on load shows in the pixels.
 */
export function resizeTo(settings: Pick<PixelSettings, "shape" | "resize">): Resize {
  const { width, height } = settings.shape;
  const fit = settings.resize === "crop" ? "cover" : "fill";
  return { width, height, fit, position: "centre", kernel: "lanczos3", fastShrinkOnLoad: false };
}
