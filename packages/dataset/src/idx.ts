/**
 * MNIST-style IDX files (http://yann.lecun.com/exdb/mnist/): big-endian header, then bytes. Images have magic 0x00000803
 * (uint8, three dimensions: count, height, width), labels 0x00000801. Gzipped or not, told by content and not by name.
 */
import { readFile, stat } from "node:fs/promises";
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { InputError } from "@lockstep/spec";
import { containerBytesMax, type RawImages } from "./containers.js";
import type { ReadyParts, Source, SourceFile } from "./source.js";

const imagesName = /^(.*?)(train|t10k|test)[-_]images[-.]idx3-ubyte(\.gz)?$/;
const imagesMagic = 0x00000803;
const labelsMagic = 0x00000801;

/** Where torchvision and people leave the files, under the folder that is given. */
const usualFolders = ["", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw", "QMNIST/raw"] as const;

interface Pair {
  readonly part: 0 | 2;
  readonly images: string;
  readonly labels: string;
}

/** Whether the path is an IDX file of images, or a folder that holds some where they usually lie. */
export function findIdx(place: string): boolean {
  return imageFilesAt(place).length > 0;
}

/**
 * A train- file and its t10k- (or test-) file are training and test part; a single pair is left to be split.
 * @throws InputError naming the file at fault, or all candidates where there are several
 */
export async function indexIdx(place: string): Promise<Source> {
  const pairs = pairsOf(place, imageFilesAt(place));
  const root = dirname((pairs[0] as Pair).images);
  const read = await Promise.all(pairs.map(readPair));
  const [first, second] = read as [PairContent, PairContent | undefined];
  if (second !== undefined && (second.height !== first.height || second.width !== first.width)) {
    throw new InputError({
      where: (pairs[1] as Pair).images,
      found: `images of ${second.height}x${second.width}`,
      allowed: `the size of the other file, ${first.height}x${first.width}`,
    });
  }
  const values = [...new Set(read.flatMap((pair) => [...new Set(pair.labels)]))].sort((a, b) => a - b);
  const labelOf = new Map(values.map((value, label) => [value, label]));
  const samples = read.flatMap((pair, k) => Array.from(pair.labels, (value, ordinal) => ({ k, value, ordinal })));
  const ready: ReadyParts | undefined =
    second === undefined
      ? undefined
      : {
          part: Uint8Array.from(samples, ({ k }) => (pairs[k] as Pair).part),
          present: { validation: false, test: true },
        };
  return {
    root,
    format: "idx",
    classes: values.map(String),
    ready,
    files: await Promise.all(pairs.flatMap((pair) => [pair.images, pair.labels]).map((path) => describe(root, path))),
    labels: Int32Array.from(samples, ({ value }) => labelOf.get(value) as number),
    sampleFile: Uint32Array.from(samples, ({ k }) => 2 * k),
    sampleOrdinal: Uint32Array.from(samples, ({ ordinal }) => ordinal),
    raw: { height: first.height, width: first.width, channels: 1, layout: "hwc" },
  };
}

/** The images of a file's content, unpacked where it is gzipped. @throws InputError naming the file */
export async function idxImages(
  content: Uint8Array,
  path: string,
): Promise<RawImages & { readonly height: number; readonly width: number }> {
  const bytes = await unpacked(content, path);
  const [count, height, width] = dimensions(bytes, imagesMagic, 3, path) as [number, number, number];
  return { bytes, first: 16, stride: height * width, count, height, width };
}

interface PairContent {
  readonly height: number;
  readonly width: number;
  readonly labels: Uint8Array;
}

async function readPair(pair: Pair): Promise<PairContent> {
  const images = await idxImages(await readContainer(pair.images), pair.images);
  const labelBytes = await unpacked(await readContainer(pair.labels), pair.labels);
  const [count] = dimensions(labelBytes, labelsMagic, 1, pair.labels) as [number];
  if (count !== images.count) {
    throw new InputError({
      where: pair.labels,
      found: `${count} labels`,
      allowed: `as many as there are images in ${basename(pair.images)}: ${images.count}`,
    });
  }
  // A copy: the view would keep nothing but labels alive only by luck of the slice.
  return { height: images.height, width: images.width, labels: Uint8Array.from(labelBytes.subarray(8)) };
}

function dimensions(bytes: Uint8Array, magic: number, count: number, path: string): number[] {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + 4 * count;
  if (bytes.length < start || header.getUint32(0) !== magic) {
    const found = bytes.length < 4 ? `${bytes.length} bytes` : `magic number 0x${hex(header.getUint32(0))}`;
    throw new InputError({
      where: path,
      found,
      allowed: `an IDX file of ${count} dimension(s): magic 0x${hex(magic)}`,
    });
  }
  const sizes = Array.from({ length: count }, (_, k) => header.getUint32(4 + 4 * k));
  const promised = start + sizes.reduce((product, size) => product * size, 1);
  if (bytes.length !== promised || sizes.includes(0)) {
    const found = `${bytes.length} bytes`;
    throw new InputError({ where: path, found, allowed: `${promised}, as its header says (${sizes.join(" x ")})` });
  }
  return sizes;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

async function unpacked(content: Uint8Array, path: string): Promise<Uint8Array> {
  if (content[0] !== 0x1f || content[1] !== 0x8b) return content;
  try {
    return await promisify(gunzip)(content, { maxOutputLength: containerBytesMax });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InputError({
      where: path,
      found: `gzip data that cannot be unpacked (${why})`,
      allowed: "a whole file",
      cause,
    });
  }
}

async function readContainer(path: string): Promise<Uint8Array> {
  const { size } = await stat(path);
  if (size <= containerBytesMax) return readFile(path);
  throw new InputError({ where: path, found: `${size} bytes`, allowed: `at most ${containerBytesMax} in one file` });
}

function imageFilesAt(place: string): string[] {
  const status = statSync(place, { throwIfNoEntry: false });
  if (status === undefined) return [];
  if (!status.isDirectory()) return imagesName.test(basename(place)) ? [place] : [];
  for (const folder of usualFolders) {
    const path = join(place, folder);
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    const found = readdirSync(path)
      .filter((name) => imagesName.test(name))
      .map((name) => join(path, name));
    if (found.length > 0) return onceEach(found);
  }
  return [];
}

/** torchvision leaves the unpacked file beside the gzipped one: the same images, taken once. */
function onceEach(paths: readonly string[]): string[] {
  return paths.filter((path) => !path.endsWith(".gz") || !paths.includes(path.slice(0, -".gz".length))).sort();
}

function pairsOf(place: string, images: readonly string[]): Pair[] {
  if (images.length === 0) {
    throw new InputError({
      where: place,
      found: "no IDX file of images",
      allowed: "files named as MNIST's: train-images-idx3-ubyte(.gz), t10k-labels-idx1-ubyte(.gz), ...",
    });
  }
  const pairs = images.map((path) => pairOf(path));
  const train = pairs.filter((pair) => pair.part === 0);
  if (train.length > 1 || pairs.length - train.length > 1) {
    const found = `several sets: ${images.map((path) => basename(path)).join(", ")}`;
    throw new InputError({ where: place, found, allowed: "one set a folder, or the path of one images file" });
  }
  return pairs.sort((a, b) => a.part - b.part);
}

function pairOf(images: string): Pair {
  const name = basename(images);
  const plain = name.replace(/\.gz$/, "").replace(/images([-.])idx3/, "labels$1idx1");
  const candidates = [plain, `${plain}.gz`].map((candidate) => join(dirname(images), candidate));
  const labels = candidates.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
  if (labels === undefined) {
    throw new InputError({ where: images, found: "no file of labels beside it", allowed: `${plain} or ${plain}.gz` });
  }
  return { part: imagesName.exec(name)?.[2] === "train" ? 0 : 2, images, labels };
}

async function describe(root: string, path: string): Promise<SourceFile> {
  const { size, mtimeMs } = await stat(path);
  return { path: relative(root, path).split(sep).join("/"), bytes: size, mtimeMs };
}
