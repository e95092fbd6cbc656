/** The encoded image formats that datasets may hold. */
export const imageFormats = ["JPEG", "PNG", "WebP", "GIF", "TIFF"] as const;
export type ImageFormat = (typeof imageFormats)[number];

/** A file is an image of the dataset when its name ends so, in any case; as in torchvision, a bare ".jpg" counts too. */
export const imageSuffixes = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff"] as const;

/** Suffixes that torchvision takes and that cannot be decoded here: refused rather than left out without a word. */
export const undecodableSuffixes = [".bmp", ".ppm", ".pgm"] as const;

export function hasSuffix(name: string, suffixes: readonly string[]): boolean {
  const lower = name.toLowerCase();
  return suffixes.some((suffix) => lower.endsWith(suffix));
}

/** What the content is, by its first 12 bytes; the name's suffix does not matter. */
export function imageFormatOf(head: Uint8Array): ImageFormat | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString("latin1");
  if (text.startsWith("\xff\xd8\xff")) return "JPEG";
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "PNG";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "WebP";
  if (text.startsWith("GIF87a") || text.startsWith("GIF89a")) return "GIF";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].some((magic) => text.startsWith(magic))) return "TIFF";
  return undefined;
}
