import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { InputError, datasetFormats, type DatasetFormat, type ImageSize } from "@lockstep/spec";
import { findCifar, indexCifar } from "./cifar.js";
import { indexFolder } from "./folder.js";
import { findIdx, indexIdx } from "./idx.js";

/** One file that the dataset is made of. */
export interface SourceFile {
  /** Relative to the root, with "/" between folders on every system. */
  readonly path: string;
  readonly bytes: number;
  /** Last modification, milliseconds since 1970. */
  readonly mtimeMs: number;
}

/** Images stored as plain pixels, one after the other, all of one size. */
export interface RawImageShape {
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  /** "hwc": the channels of a pixel lie together; "chw": each channel is a plane of its own. */
  readonly layout: "hwc" | "chw";
}

/** Which part each sample was found in, for datasets that come divided. */
export interface ReadyParts {
  /** By sample index: 0 training, 1 validation, 2 test. */
  readonly part: Uint8Array;
  /** Parts that exist, be they empty or not; training always does. */
  readonly present: { readonly validation: boolean; readonly test: boolean };
}

/** What a dataset holds, without any pixel: samples are numbered 0, 1, ... in the order of these arrays. */
export interface Source {
  /** Absolute path of the folder that file paths are relative to. */
  readonly root: string;
  readonly format: DatasetFormat;
  readonly classes: readonly string[];
  /** Every file that a label or a pixel comes from. */
  readonly files: readonly SourceFile[];
  /** By sample index: index into `classes`. */
  readonly labels: Int32Array;
  /** By sample index: index into `files` of the file that holds its pixels. */
  readonly sampleFile: Uint32Array;
  /** By sample index: which image of that file, from 0. */
  readonly sampleOrdinal: Uint32Array;
  /** Undefined: everything is to be split by lot. */
  readonly ready: ReadyParts | undefined;
  /** Undefined: files are encoded images (JPEG, PNG, ...). */
  readonly raw: RawImageShape | undefined;
}

/**
 * Indexes the dataset at `path`: a folder of class folders, MNIST-style IDX files or CIFAR batches, as docs/datasets.md
 * describes. Pixels are not read.
 * @param path a folder; for IDX files also one images file, which is then the whole dataset
 * @param format "auto" recognises the kind from the names of what is there
 * @throws InputError naming the folder, file or class at fault
 */
export async function openSource(path: string, format: DatasetFormat | "auto" = "auto"): Promise<Source> {
  const place = resolve(path);
  try {
    return await index(place, format);
  } catch (thrown) {
    throw isSystemError(thrown) ? unreadable(place, thrown) : thrown;
  }
}

function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && "syscall" in thrown;
}

/** No permission, a link that leads to itself, a failing disk. */
function unreadable(place: string, cause: NodeJS.ErrnoException): InputError {
  const where = cause.path ?? place;
  return new InputError({ where, found: `what cannot be read (${cause.message})`, allowed: "readable files", cause });
}

async function index(place: string, format: DatasetFormat | "auto"): Promise<Source> {
  const isFolder = kindOf(place) === "folder";
  const found = format === "auto" ? recognise(place, isFolder) : format;
  switch (found) {
    case "folder":
      if (!isFolder) throw notAFolder(place);
      return indexFolder(place);
    case "idx":
      return indexIdx(place);
    case "cifar-binary":
    case "cifar-python":
      return indexCifar(isFolder ? place : dirname(place), found);
  }
}

/** The size a dataset asks for when the spec leaves it open: its own for plain pixels, else 64x64 RGB. */
export function defaultImageSize(dataset: Pick<Source, "raw">): {
  readonly imageSize: ImageSize;
  readonly channels: 1 | 3;
} {
  const { height, width, channels } = dataset.raw ?? { height: 64, width: 64, channels: 3 };
  return { imageSize: { height, width }, channels };
}

function recognise(place: string, isFolder: boolean): DatasetFormat {
  if (!isFolder) {
    if (findIdx(place)) return "idx";
    throw notAFolder(place);
  }
  if (findIdx(place)) return "idx";
  return findCifar(place)?.format ?? "folder";
}

function kindOf(place: string): "folder" | "file" {
  const status = statSync(place, { throwIfNoEntry: false });
  if (status === undefined) {
    throw new InputError({ where: place, found: "nothing at this path", allowed: "the folder of a dataset" });
  }
  return status.isDirectory() ? "folder" : "file";
}

function notAFolder(place: string): InputError {
  return new InputError({
    where: place,
    found: "a file that is no IDX file of images",
    allowed: `a folder (formats: ${datasetFormats.join(", ")}), or an IDX file such as train-images-idx3-ubyte.gz`,
  });
}
