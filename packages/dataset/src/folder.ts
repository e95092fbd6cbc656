/**
 * Class-per-folder images, found as torchvision's ImageFolder finds them (docs/datasets.md has the rules for people):
 * every folder in the root is a class, hidden ones and links to folders included; classes are in code-point order; under a
 * class, folders are walked through links (os.walk with followlinks) and sorted by their whole path, then files by name.
 */
import { readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { InputError } from "@lockstep/spec";
import { hasSuffix, imageFormats, imageSuffixes, undecodableSuffixes } from "./image-format.js";
import type { ReadyParts, Source, SourceFile } from "./source.js";

const partFolders: Readonly<Record<string, 0 | 1 | 2>> = { train: 0, val: 1, validation: 1, valid: 1, test: 2 };

/** Order of Unicode code points, as Python sorts; JavaScript's own order differs above U+FFFF. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let k = 0; k < length; k++) {
    const [x, y] = [a.charCodeAt(k), b.charCodeAt(k)];
    if (x === y) continue;
    // A surrogate is the half of a code point above U+FFFF, so it comes after every unit that is none.
    const [surrogateX, surrogateY] = [x >= 0xd800 && x <= 0xdfff, y >= 0xd800 && y <= 0xdfff];
    return surrogateX === surrogateY ? x - y : surrogateX ? 1 : -1;
  }
  return a.length - b.length;
}

/** @throws InputError naming the folder or file at fault; what the file system throws */
export async function indexFolder(root: string): Promise<Source> {
  const folders = foldersIn(root);
  const parts = readyPartsOf(root, folders);
  return parts === undefined ? indexWhole(root, folders) : indexParts(root, parts);
}

interface Found {
  readonly files: SourceFile[];
  readonly labels: number[];
  readonly parts: number[];
}

async function indexWhole(root: string, classes: readonly string[]): Promise<Source> {
  const found: Found = { files: [], labels: [], parts: [] };
  requireClasses(root, classes);
  for (const [label, name] of classes.entries()) await addClass(root, name, label, 0, found);
  return sourceOf(root, classes, found, undefined);
}

async function indexParts(root: string, parts: ReadonlyMap<0 | 1 | 2, string>): Promise<Source> {
  const found: Found = { files: [], labels: [], parts: [] };
  const train = parts.get(0) as string;
  const classes = foldersIn(join(root, train));
  requireClasses(join(root, train), classes);
  const labelOf = new Map(classes.map((name, label) => [name, label]));
  for (const part of [0, 1, 2] as const) {
    const folder = parts.get(part);
    if (folder === undefined) continue;
    for (const name of foldersIn(join(root, folder))) {
      const label = labelOf.get(name);
      if (label === undefined) {
        throw new InputError({
          where: join(root, folder, name),
          found: `a class that ${train}/ does not have`,
          allowed: `the classes of ${train}/: ${someOf(classes)}`,
        });
      }
      await addClass(root, `${folder}/${name}`, label, part, found);
    }
  }
  const present = { validation: parts.has(1), test: parts.has(2) };
  return sourceOf(root, classes, found, { part: Uint8Array.from(found.parts), present });
}

function sourceOf(root: string, classes: readonly string[], found: Found, ready: ReadyParts | undefined): Source {
  const { files, labels } = found;
  return {
    root,
    format: "folder",
    classes,
    files,
    ready,
    raw: undefined,
    labels: Int32Array.from(labels),
    sampleFile: Uint32Array.from(files.keys()),
    sampleOrdinal: new Uint32Array(files.length),
  };
}

/**
 * A folder is divided when it has train/ with folders in it, and no folder beside that is not a part: so a class named
 * "train" among other classes stays a class.
 */
function readyPartsOf(root: string, folders: readonly string[]): ReadonlyMap<0 | 1 | 2, string> | undefined {
  if (!folders.includes("train") || foldersIn(join(root, "train")).length === 0) return undefined;
  const others = folders.filter((name) => !Object.hasOwn(partFolders, name));
  if (others.length > 0) {
    refuseBesideParts(root, folders, others);
    return undefined;
  }
  const parts = new Map<0 | 1 | 2, string>();
  for (const name of folders) {
    const part = partFolders[name] as 0 | 1 | 2;
    const other = parts.get(part);
    if (other !== undefined) {
      throw new InputError({
        where: root,
        found: `both ${other}/ and ${name}/`,
        allowed: "one folder of validation images",
      });
    }
    parts.set(part, name);
  }
  return parts;
}

/** With train/ and a second part in classes, the parts themselves would become classes because of one stray folder. */
function refuseBesideParts(root: string, folders: readonly string[], others: readonly string[]): void {
  const isSecond = (name: string) => name !== "train" && Object.hasOwn(partFolders, name);
  const second = folders.find((name) => isSecond(name) && foldersIn(join(root, name)).length > 0);
  if (second === undefined) return;
  throw new InputError({
    where: join(root, others[0] as string),
    found: `a folder beside train/ and ${second}/ that is no part${others.length > 1 ? ` (and ${others.length - 1} more)` : ""}`,
    allowed: `train, ${Object.keys(partFolders).slice(1).join(", ")}; move it out of the dataset`,
  });
}

function foldersIn(folder: string): string[] {
  return entriesOf(folder).folders.sort(compareCodePoints);
}

/** Links count as what they lead to; a broken one as a file, as in Python. Sockets and devices count as files too. */
function entriesOf(folder: string): { readonly folders: string[]; readonly files: string[] } {
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const leads = entry.isSymbolicLink() ? statSync(join(folder, entry.name), { throwIfNoEntry: false }) : entry;
    (leads?.isDirectory() === true ? folders : files).push(entry.name);
  }
  return { folders, files };
}

function requireClasses(folder: string, classes: readonly string[]): void {
  if (classes.length >= 2) return;
  throw new InputError({
    where: folder,
    found: classes.length === 0 ? "no folder in it" : `one class folder only: "${classes[0]}"`,
    allowed: "a folder for each class, two at least, with its images inside",
  });
}

async function addClass(root: string, folder: string, label: number, part: number, found: Found): Promise<void> {
  await setImmediate(); // a large dataset is indexed class by class, and the process answers others in between
  const before = found.files.length;
  for (const inner of walk(root, folder)) {
    const images = inner.files.filter((name) => isImage(join(root, inner.path, name), name)).sort(compareCodePoints);
    for (const name of images) {
      found.files.push(describeFile(root, `${inner.path}/${name}`));
      found.labels.push(label);
      found.parts.push(part);
    }
  }
  if (found.files.length > before) return;
  throw new InputError({
    where: join(root, folder),
    found: "a class folder without an image (hidden folders are classes too, as in torchvision)",
    allowed: `at least one ${imageFormats.join(", ")} file, or no such folder`,
  });
}

function isImage(path: string, name: string): boolean {
  if (hasSuffix(name, undecodableSuffixes)) {
    throw new InputError({
      where: path,
      found: "an image of a format that is not decoded",
      allowed: imageFormats.join(", "),
    });
  }
  return hasSuffix(name, imageSuffixes);
}

interface Walked {
  /** Relative to the root. */
  readonly path: string;
  readonly files: readonly string[];
}

/** All folders under `top`, itself first, sorted by path; a link that leads back into its own ancestors is refused. */
function walk(root: string, top: string): Walked[] {
  const found: Walked[] = [];
  const visit = (path: string, ancestors: ReadonlySet<string>) => {
    const real = realpathSync(join(root, path));
    if (ancestors.has(real)) {
      throw new InputError({
        where: join(root, path),
        found: "a link that leads back to a folder that it lies in",
        allowed: "links without a circle",
      });
    }
    const { folders, files } = entriesOf(join(root, path));
    found.push({ path, files });
    for (const folder of folders) visit(`${path}/${folder}`, new Set([...ancestors, real]));
  };
  visit(top, new Set());
  return found.sort((a, b) => compareCodePoints(a.path, b.path));
}

function describeFile(root: string, path: string): SourceFile {
  const absolute = join(root, path);
  const status = statSync(absolute, { throwIfNoEntry: false });
  if (status === undefined) {
    throw new InputError({ where: absolute, found: "a link that leads nowhere", allowed: "a file" });
  }
  if (!status.isFile()) throw new InputError({ where: absolute, found: "no regular file", allowed: "a file" });
  return { path, bytes: status.size, mtimeMs: status.mtimeMs };
}

function someOf(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => `"${name}"`);
  return names.length > shown.length ? `${shown.join(", ")}, ...` : shown.join(", ");
}
