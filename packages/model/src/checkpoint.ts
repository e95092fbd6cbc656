// A checkpoint is two files. checkpoint.safetensors holds the tensors: parameters and running statistics by torchvision's names,
// so that it loads into PyTorch as it is, and each optimiser slot as "optimizer.<slot>.<parameter>". checkpoint.json, the manifest,
// says what made them, and holds their digests and the few numbers that are no tensors. Neither holds a time: one state, one spec
// and one dataset give the same bytes, so writing a checkpoint twice is harmless.

import { open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError, type OptimizerSpec, type ResolvedJobSpec } from "@lockstep/spec";
import { parametersSha256, sha256, stateDigest } from "./digest.js";
import type { Layout, LayoutEntry } from "./layout.js";
import { optimiserOf } from "./optimisers/optimiser.js";
import {
  type NamedTensor,
  type SafetensorsFile,
  decodeSafetensors,
  encodeSafetensors,
  float32Values,
} from "./safetensors.js";
import { formatShape } from "./shape.js";
import type { TrainingState } from "./training-state.js";

const format = "lockstep-checkpoint";
const formatVersion = 1;
const manifestBytesMax = 16 * 2 ** 20;

/** The files' names inside a run's folder. */
export const checkpointFiles = { tensors: "checkpoint.safetensors", manifest: "checkpoint.json" } as const;

/** What made a state, for its manifest. */
export interface CheckpointContext {
  readonly spec: ResolvedJobSpec;
  /** Digest of what weights depend on in the spec. */
  readonly specHash: string;
  readonly datasetDigest: string;
  readonly classes: readonly string[];
  /** Engine, version, provider, graph digest, options. */
  readonly engineIdentity: string;
  /** Versions of what took part, by name. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface CheckpointManifest extends CheckpointContext {
  readonly format: typeof format;
  readonly formatVersion: typeof formatVersion;
  readonly position: number;
  readonly updates: number;
  /** Chain digest, 16 hexadecimal digits. */
  readonly chain: string;
  /** The optimiser's float64 scalars, by name. JSON keeps every bit of them. */
  readonly optimizerScalars: Readonly<Record<string, number>>;
  readonly tensors: { readonly file: string; readonly bytes: number; readonly sha256: string };
  /** Digest of the whole state, the numbers above included. */
  readonly stateDigest: string;
  readonly parametersSha256: string;
}

/** Both files' bytes. */
export interface EncodedCheckpoint {
  readonly tensors: Uint8Array;
  readonly manifest: Uint8Array;
}

/** The bytes of a state's checkpoint: a copy, which later updates leave alone. */
export function encodeCheckpoint(state: TrainingState, layout: Layout, context: CheckpointContext): EncodedCheckpoint {
  const { slotNames, scalarNames } = optimiserOf(context.spec.optimizer);
  const tensors = encodeSafetensors(
    [
      ...tensorsOf(state.parameters, layout.parameters),
      ...tensorsOf(state.statistics, layout.statistics),
      ...slotNames.flatMap((slot, index) =>
        tensorsOf(state.slots[index] as Float32Array, layout.parameters, slotPrefix(slot)),
      ),
    ],
    { format: "pt", position: String(state.position) },
  );
  const { spec, specHash, datasetDigest, classes, engineIdentity, versions } = context;
  const manifest: CheckpointManifest = {
    format,
    formatVersion,
    position: state.position,
    updates: state.updates,
    chain: state.chain.toString(16).padStart(16, "0"),
    optimizerScalars: Object.fromEntries(scalarNames.map((name, index) => [name, state.scalars[index] as number])),
    tensors: { file: checkpointFiles.tensors, bytes: tensors.length, sha256: sha256([tensors]) },
    stateDigest: stateDigest(state),
    parametersSha256: parametersSha256(state),
    specHash,
    datasetDigest,
    engineIdentity,
    versions,
    classes,
    spec,
  };
  return { tensors, manifest: new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`) };
}

/**
 * The state of a checkpoint, in memory of its own.
 * @param layout that of the network of the manifest's spec
 * @param origin the folder, for errors
 * @throws InputError where a digest, a name or a shape does not match: nothing of a damaged checkpoint is used
 */
export function decodeCheckpoint(encoded: EncodedCheckpoint, layout: Layout, origin: string): TrainingState {
  const manifest = parseManifest(encoded.manifest, origin);
  const where = join(origin, checkpointFiles.tensors);
  const found = sha256([encoded.tensors]);
  if (found !== manifest.tensors.sha256) {
    const allowed = `${manifest.tensors.sha256}, as ${checkpointFiles.manifest} says; the file is damaged or from another run`;
    throw new InputError({ where, found: `SHA-256 ${found}`, allowed });
  }
  const state = stateOf(manifest, decodeSafetensors(encoded.tensors, where), layout, where);
  if (stateDigest(state) !== manifest.stateDigest) {
    throw new InputError({
      where: join(origin, checkpointFiles.manifest),
      found: "a position, scalar or digest that does not belong to the tensors",
      allowed: `a state with digest ${manifest.stateDigest}; the file was changed`,
    });
  }
  return state;
}

/**
 * Reads a manifest. Its spec is taken as it stands: whoever trains on with it parses it as any other spec.
 * @throws InputError where it is not a manifest of this format
 */
export function parseManifest(bytes: Uint8Array, origin: string): CheckpointManifest {
  const where = join(origin, checkpointFiles.manifest);
  const refuse = (found: string, allowed: string, cause?: unknown): InputError =>
    new InputError({ where, found, allowed, cause });
  if (bytes.length > manifestBytesMax) throw refuse(`${bytes.length} bytes`, `at most ${manifestBytesMax}`);
  let manifest: Partial<CheckpointManifest> | null;
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes)) as Partial<CheckpointManifest> | null;
  } catch (cause) {
    throw refuse("text that is not JSON", "a checkpoint's manifest", cause);
  }
  if (manifest?.format !== format || manifest.formatVersion !== formatVersion) {
    const found = `format ${JSON.stringify(manifest?.format)} ${JSON.stringify(manifest?.formatVersion)}`;
    throw refuse(found, `"${format}" ${formatVersion}`);
  }
  const hasNumbers = Number.isSafeInteger(manifest.position) && Number.isSafeInteger(manifest.updates);
  const hasDigests = [manifest.stateDigest, manifest.parametersSha256, manifest.tensors?.sha256].every(
    (digest) => typeof digest === "string" && /^[0-9a-f]{64}$/.test(digest),
  );
  const hasChain = typeof manifest.chain === "string" && /^[0-9a-f]{16}$/.test(manifest.chain);
  const scalars = manifest.optimizerScalars;
  const hasScalars = typeof scalars === "object" && Object.values(scalars).every((value) => typeof value === "number");
  if (!hasNumbers || !hasDigests || !hasChain || !hasScalars || typeof manifest.spec?.optimizer?.name !== "string") {
    throw refuse(
      "a manifest with parts missing",
      "position, updates, chain, optimizerScalars, tensors, digests and spec",
    );
  }
  return manifest as CheckpointManifest;
}

/** Writes both files into a folder, each whole or not at all, the manifest last; gives their paths. */
export async function writeCheckpoint(folder: string, encoded: EncodedCheckpoint): Promise<string[]> {
  const tensors = join(folder, checkpointFiles.tensors);
  const manifest = join(folder, checkpointFiles.manifest);
  await writeFileAtomic(tensors, encoded.tensors);
  await writeFileAtomic(manifest, encoded.manifest);
  return [tensors, manifest];
}

/** Reads both files' bytes; decodeCheckpoint checks them. */
export async function readCheckpoint(folder: string): Promise<EncodedCheckpoint> {
  const [tensors, manifest] = await Promise.all([
    readFile(join(folder, checkpointFiles.tensors)),
    readFile(join(folder, checkpointFiles.manifest)),
  ]);
  return { tensors, manifest };
}

/** Writes a file under a temporary name, syncs and renames it: after a crash the old file is there, or the new one, whole. */
export async function writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes the new name itself durable. Windows cannot open a folder and does not need to. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function slotPrefix(slot: string): string {
  return `optimizer.${slot}.`;
}

function tensorsOf(values: Float32Array, entries: readonly LayoutEntry[], prefix = ""): NamedTensor[] {
  return entries.map(({ name, shape, offset, length }) => ({
    name: prefix + name,
    shape,
    values: values.subarray(offset, offset + length),
  }));
}

function stateOf(manifest: CheckpointManifest, file: SafetensorsFile, layout: Layout, where: string): TrainingState {
  const { slotNames, scalarNames } = optimiserOf(manifest.spec.optimizer satisfies OptimizerSpec);
  const gather = (entries: readonly LayoutEntry[], length: number, prefix = ""): Float32Array => {
    const values = new Float32Array(length);
    for (const entry of entries) values.set(valuesOf(file, prefix + entry.name, entry, where), entry.offset);
    return values;
  };
  return {
    position: manifest.position,
    updates: manifest.updates,
    chain: BigInt(`0x${manifest.chain}`),
    parameters: gather(layout.parameters, layout.parameterCount),
    statistics: gather(layout.statistics, layout.statisticCount),
    slots: slotNames.map((slot) => gather(layout.parameters, layout.parameterCount, slotPrefix(slot))),
    scalars: Float64Array.from(scalarNames, (name) => manifest.optimizerScalars[name] ?? Number.NaN),
  };
}

function valuesOf(file: SafetensorsFile, name: string, entry: LayoutEntry, where: string): Float32Array {
  const tensor = file.tensors.get(name);
  if (tensor === undefined || formatShape(tensor.shape) !== formatShape(entry.shape)) {
    throw new InputError({
      where: `${where}: tensor "${name}"`,
      found: tensor === undefined ? "nothing" : `shape ${formatShape(tensor.shape)}`,
      allowed: `shape ${formatShape(entry.shape)}, as the network of the spec has it`,
    });
  }
  return float32Values(tensor, where);
}
