/**
 * CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html) as published: binary records of label bytes and
 * 3,072 pixels (three planes of 32x32), or Python batches as torchvision leaves them. CIFAR-100 is read with its fine labels.
 */
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "@lockstep/spec";
import type { RawImages } from "./containers.js";
import { readPickle, type ByteArray, type PickledValue } from "./pickle.js";
import type { RawImageShape, Source } from "./source.js";

export type CifarFormat = "cifar-binary" | "cifar-python";

const pixelBytes = 3 * 32 * 32;
const shape: RawImageShape = { height: 32, width: 32, channels: 3, layout: "chw" };

/** How one of the four published forms lies in its folder. */
type CifarForm = {
  /** The folder inside the archive, also looked for under the path that is given. */
  readonly folder: string;
  readonly train: RegExp;
  readonly test: string;
  /** File of class names: a line each, or a pickle with a list under `namesKey`. */
  readonly names: string;
} & (
  | { readonly format: "cifar-python"; readonly namesKey: string; readonly labelsKey: string }
  /** `labelBytes` stand before the pixels of each record; the last is the class. */
  | { readonly format: "cifar-binary"; readonly labelBytes: 1 | 2 }
);

const forms: readonly CifarForm[] = [
  {
    format: "cifar-python",
    folder: "cifar-10-batches-py",
    train: /^data_batch_\d+$/,
    test: "test_batch",
    names: "batches.meta",
    namesKey: "label_names",
    labelsKey: "labels",
  },
  {
    format: "cifar-python",
    folder: "cifar-100-python",
    train: /^train$/,
    test: "test",
    names: "meta",
    namesKey: "fine_label_names",
    labelsKey: "fine_labels",
  },
  {
    format: "cifar-binary",
    folder: "cifar-10-batches-bin",
    train: /^data_batch_\d+\.bin$/,
    test: "test_batch.bin",
    names: "batches.meta.txt",
    labelBytes: 1,
  },
  {
    format: "cifar-binary",
    folder: "cifar-100-binary",
    train: /^train\.bin$/,
    test: "test.bin",
    names: "fine_label_names.txt",
    labelBytes: 2,
  },
];

interface FoundCifar {
  readonly format: CifarFormat;
  readonly form: CifarForm;
  /** Folder that holds the files. */
  readonly root: string;
}

/** The published form that lies in the folder or in the archive's folder under it. */
export function findCifar(place: string, format?: CifarFormat): FoundCifar | undefined {
  for (const form of forms) {
    if (format !== undefined && form.format !== format) continue;
    for (const root of [place, join(place, form.folder)]) {
      if (existsSync(join(root, form.names)) && trainFiles(root, form).length > 0) {
        return { format: form.format, form, root };
      }
    }
  }
  return undefined;
}

/** @throws InputError naming the file at fault */
export function indexCifar(place: string, format: CifarFormat): Source {
  const found = findCifar(place, format);
  if (found === undefined) {
    const allowed = forms.filter((form) => form.format === format).map((form) => `${form.folder}/ with ${form.names}`);
    throw new InputError({ where: place, found: `no ${format} files`, allowed: allowed.join(" or ") });
  }
  const { root, form } = found;
  const classes = classNames(join(root, form.names), form);
  const train = trainFiles(root, form);
  const batches = existsSync(join(root, form.test)) ? [...train, form.test] : train;
  const labels = batches.map((name) => labelsOf(join(root, name), form, classes.length));
  const files = [...batches, form.names].map((path) => {
    const { size, mtimeMs } = statSync(join(root, path));
    return { path, bytes: size, mtimeMs };
  });
  const part = labels.flatMap((batch, k) => batch.map(() => (k < train.length ? 0 : 2)));
  const isDivided = batches.length > train.length;
  return {
    root,
    format,
    classes,
    files,
    raw: shape,
    labels: Int32Array.from(labels.flat()),
    sampleFile: Uint32Array.from(labels.flatMap((batch, k) => batch.map(() => k))),
    sampleOrdinal: Uint32Array.from(labels.flatMap((batch) => batch.map((_, ordinal) => ordinal))),
    ready: isDivided ? { part: Uint8Array.from(part), present: { validation: false, test: true } } : undefined,
  };
}

/**
 * The images of one batch file's content.
 * @param path of the file; its name tells CIFAR-10's records from CIFAR-100's
 * @throws InputError naming the file
 */
export function cifarImages(content: Uint8Array, format: CifarFormat, path: string): RawImages {
  if (format === "cifar-python") {
    const { bytes, shape: sides } = batchPixels(readBatch(content, path), path);
    return { bytes, first: 0, stride: pixelBytes, count: sides[0] as number };
  }
  const labelBytes = /(^|[\\/])(train|test)\.bin$/.test(path) ? 2 : 1;
  const stride = labelBytes + pixelBytes;
  if (content.length === 0 || content.length % stride !== 0) {
    const found = `${content.length} bytes`;
    throw new InputError({ where: path, found, allowed: `a multiple of ${stride}, the size of a record` });
  }
  return { bytes: content, first: labelBytes, stride, count: content.length / stride };
}

function trainFiles(root: string, form: CifarForm): string[] {
  if (!existsSync(root)) return [];
  const files = readdirSync(root, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  const numberOf = (name: string) => Number(/\d+/.exec(name)?.[0] ?? 0);
  return files
    .map((entry) => entry.name)
    .filter((name) => form.train.test(name))
    .sort((a, b) => numberOf(a) - numberOf(b));
}

function classNames(path: string, form: CifarForm): string[] {
  const content = readFileSync(path);
  const names =
    form.format === "cifar-binary"
      ? content
          .toString("utf8")
          .split(/\r?\n/)
          .filter((line) => line !== "")
      : readBatch(content, path).get(form.namesKey);
  if (Array.isArray(names) && names.length >= 2 && names.every((name) => typeof name === "string")) return names;
  throw new InputError({ where: path, found: "no list of class names", allowed: "the file as published" });
}

function labelsOf(path: string, form: CifarForm, classCount: number): number[] {
  const content = readFileSync(path);
  const images = cifarImages(content, form.format, path);
  const labels =
    form.format === "cifar-binary"
      ? Array.from({ length: images.count }, (_, k) => images.bytes[images.first + k * images.stride - 1])
      : readBatch(content, path).get(form.labelsKey);
  const valid = (label: unknown) => Number.isInteger(label) && (label as number) >= 0 && (label as number) < classCount;
  if (Array.isArray(labels) && labels.length === images.count && labels.every(valid)) return labels as number[];
  throw new InputError({
    where: path,
    found: Array.isArray(labels) ? `${labels.length} labels, some out of range or too few` : "no labels",
    allowed: `${images.count} labels from 0 to ${classCount - 1}`,
  });
}

function readBatch(content: Uint8Array, path: string): ReadonlyMap<string, PickledValue> {
  try {
    const value = readPickle(content);
    if (value instanceof Map) return value as ReadonlyMap<string, PickledValue>;
    throw new Error("the pickle holds no dictionary");
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new InputError({ where: path, found, allowed: "a Python batch of CIFAR as published", cause });
  }
}

function batchPixels(batch: ReadonlyMap<string, PickledValue>, path: string): ByteArray {
  const data = batch.get("data");
  if (isByteArray(data) && data.shape.length === 2 && data.shape[1] === pixelBytes && (data.shape[0] as number) > 0) {
    return data;
  }
  const found = isByteArray(data) ? `data of shape ${data.shape.join(" x ")}` : "no data";
  throw new InputError({ where: path, found, allowed: `data of shape N x ${pixelBytes}` });
}

function isByteArray(value: PickledValue | undefined): value is ByteArray {
  return typeof value === "object" && value !== null && "bytes" in value && "shape" in value;
}
