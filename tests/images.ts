/** Small image folders for tests, drawn here: each class has a colour and a stripe direction of its own, under noise. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { splitDraws } from "@lockstep/random";
import sharp from "sharp";

export interface ImageFolderOptions {
  /** Class names; each becomes a folder. */
  readonly classes: readonly string[];
  readonly imagesPerClass: number;
  /** Height and width in pixels. Default 16. */
  readonly size?: number;
}

/** Writes `<folder>/<class>/<class>-0.png` and so on; the same bytes every time. Gives the files' paths. */
export async function drawImageFolder(folder: string, options: ImageFolderOptions): Promise<string[]> {
  const { classes, imagesPerClass, size = 16 } = options;
  const files: string[] = [];
  for (const [classIndex, name] of classes.entries()) {
    await mkdir(join(folder, name), { recursive: true });
    for (let image = 0; image < imagesPerClass; image++) {
      const file = join(folder, name, `${name}-${image}.png`);
      const raw = { width: size, height: size, channels: 3 } as const;
      await sharp(drawImage(classIndex, image, size), { raw })
        .png({ compressionLevel: 0 })
        .toFile(file);
      files.push(file);
    }
  }
  return files;
}

function drawImage(classIndex: number, image: number, size: number): Uint8Array {
  const draws = splitDraws(image, `test image of class ${classIndex}`);
  const phase = draws.below(4);
  const pixels = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const along = classIndex % 2 === 0 ? x : y;
      const isStripe = (along + phase) % 4 < 2;
      for (let channel = 0; channel < 3; channel++) {
        const isColoured = ((classIndex >> 1) + 1) & (1 << channel);
        pixels[(y * size + x) * 3 + channel] = (isStripe && isColoured ? 140 : 50) + draws.below(100);
      }
    }
  }
  return pixels;
}
