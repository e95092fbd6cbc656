/**
 * Draws the demo dataset: nine figures in class folders, as JPEG and PNG files. Colour, place, size, rotation, stretch, light,
 * background, specks, noise, image size and compression vary from image to image, so that no single pixel says much: a
 * linear model stays below half right. The same seed draws the same images.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { augmentationDraws, type Draws } from "@lockstep/random";
import sharp from "sharp";
import { figures, type Figure } from "./figures.js";

export interface ShapesOptions {
  readonly folder: string;
  readonly seed: number;
  readonly imagesPerClass: number;
  /** Told as images are written. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Grows when the drawing changes: sets of another version are drawn anew. */
const drawingVersion = 1;

/** Encoded at the same time: encoding runs on other threads than drawing. */
const imagesAtOnce = 8;

const classNames = Object.keys(figures) as (keyof typeof figures)[];

/** @returns "there" when the folder already held the whole set */
export async function drawShapes(options: ShapesOptions): Promise<"drawn" | "there"> {
  const { folder, seed, imagesPerClass } = options;
  const label = JSON.stringify({ drawingVersion, seed, imagesPerClass, classes: classNames });
  if (isComplete(folder, label, imagesPerClass)) return "there";
  await Promise.all(classNames.map((name) => mkdir(join(folder, name), { recursive: true })));
  const total = classNames.length * imagesPerClass;
  let next = 0;
  let done = 0;
  const lane = async () => {
    while (next < total) {
      const image = next++;
      const label = image % classNames.length;
      const name = classNames[label] as keyof typeof figures;
      const index = Math.floor(image / classNames.length);
      await writeImage(join(folder, name), index, figures[name], augmentationDraws(seed, label, index));
      options.onProgress?.(++done, total);
    }
  };
  sharp.concurrency(1);
  await Promise.all(Array.from({ length: imagesAtOnce }, lane));
  // Written last, under its name at once: a set that was left half drawn is drawn again.
  await writeFile(join(folder, "shapes.json.partial"), label);
  await rename(join(folder, "shapes.json.partial"), join(folder, "shapes.json"));
  return "drawn";
}

function isComplete(folder: string, label: string, imagesPerClass: number): boolean {
  const file = join(folder, "shapes.json");
  if (!existsSync(file) || readFileSync(file, "utf8") !== label) return false;
  const imagesIn = (name: string) => (existsSync(join(folder, name)) ? readdirSync(join(folder, name)).length : 0);
  return classNames.every((name) => imagesIn(name) === imagesPerClass);
}

async function writeImage(folder: string, index: number, figure: Figure, draws: Draws): Promise<void> {
  const width = 48 + draws.below(17);
  const height = 48 + draws.below(17);
  const pixels = drawImage(figure, width, height, draws);
  const image = sharp(pixels, { raw: { width, height, channels: 3 } });
  const isPhotograph = draws.below(3) > 0;
  const name = `${String(index).padStart(4, "0")}.${isPhotograph ? "jpg" : "png"}`;
  const encoded = isPhotograph ? image.jpeg({ quality: 70 + draws.below(26) }) : image.png({ compressionLevel: 6 });
  await encoded.toFile(join(folder, name));
}

type Colour = readonly [number, number, number];

/** How one image shows its figure. Lengths in pixels. */
interface Scene {
  readonly centre: readonly [number, number];
  /** From pixels around the centre to the figure's own coordinates: rotation, size and stretch in one matrix. */
  readonly toFigure: readonly [number, number, number, number];
  readonly ink: Colour;
  readonly ground: Colour;
  /** Change of light across the image, levels a pixel. */
  readonly light: readonly [number, number];
  readonly specks: readonly Speck[];
  /** Largest change of a value by noise. */
  readonly noise: number;
}

interface Speck {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly colour: Colour;
}

function drawImage(figure: Figure, width: number, height: number, draws: Draws): Uint8Array {
  const scene = drawScene(width, height, draws);
  const pixels = new Uint8Array(width * height * 3);
  const words = new Uint32Array(width * height);
  draws.fill(words);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cover = coverOf(figure, scene, x, y);
      const speck = scene.specks.find((s) => (x - s.x) ** 2 + (y - s.y) ** 2 < s.radius ** 2);
      const ground = speck?.colour ?? scene.ground;
      const light = scene.light[0] * (x - width / 2) + scene.light[1] * (y - height / 2);
      const word = words[y * width + x] as number;
      for (let channel = 0; channel < 3; channel++) {
        const noise = (((word >>> (channel * 10)) & 1023) / 511.5 - 1) * scene.noise;
        const level = (ground[channel] as number) * (1 - cover) + (scene.ink[channel] as number) * cover;
        pixels[(y * width + x) * 3 + channel] = Math.max(0, Math.min(255, Math.round(level + light + noise)));
      }
    }
  }
  return pixels;
}

function drawScene(width: number, height: number, draws: Draws): Scene {
  const side = Math.min(width, height);
  const radius = side * between(draws, 0.32, 0.46);
  const place = (length: number) => length / 2 + (draws.uniform() - 0.5) * 0.8 * (length - 2 * radius);
  const centre = [place(width), place(height)] as const;
  const [cosine, sine] = direction(draws);
  const [across, along] = [radius * between(draws, 0.85, 1.1), radius * between(draws, 0.85, 1.1)];
  const [ink, ground] = twoColours(draws);
  const speck = (): Speck => ({
    x: draws.below(width),
    y: draws.below(height),
    radius: between(draws, 1, 3.5),
    colour: colour(draws),
  });
  return {
    centre,
    toFigure: [cosine / across, sine / across, -sine / along, cosine / along],
    ink,
    ground,
    light: [between(draws, -0.9, 0.9), between(draws, -0.9, 0.9)],
    specks: Array.from({ length: draws.below(7) }, speck),
    noise: between(draws, 5, 30),
  };
}

/** Share of the pixel that the figure covers, from four points in it. */
function coverOf(figure: Figure, { centre, toFigure }: Scene, x: number, y: number): number {
  let inside = 0;
  for (let point = 0; point < 4; point++) {
    const right = x + 0.25 + 0.5 * (point % 2) - centre[0];
    const down = y + 0.25 + 0.5 * (point >> 1) - centre[1];
    if (figure(toFigure[0] * right + toFigure[1] * down, toFigure[2] * right + toFigure[3] * down)) inside++;
  }
  return inside / 4;
}

/** A unit vector of any direction: a point drawn in the disc, brought to length 1. */
function direction(draws: Draws): readonly [number, number] {
  for (;;) {
    const [x, y] = [between(draws, -1, 1), between(draws, -1, 1)];
    const square = x * x + y * y;
    if (square > 0.01 && square <= 1) return [x / Math.sqrt(square), y / Math.sqrt(square)];
  }
}

/** A bright figure on a darker ground, of any two hues. */
function twoColours(draws: Draws): readonly [Colour, Colour] {
  for (;;) {
    const [ink, ground] = [colour(draws), colour(draws)];
    if (brightness(ink) - brightness(ground) > 80) return [ink, ground];
  }
}

function brightness([red, green, blue]: Colour): number {
  return 0.3 * red + 0.6 * green + 0.1 * blue;
}

function colour(draws: Draws): Colour {
  return [draws.below(256), draws.below(256), draws.below(256)];
}

function between(draws: Draws, least: number, most: number): number {
  return least + (most - least) * draws.uniform();
}
