// From a submitted spec to a job that can start: what can be wrong with a spec or a dataset is found here, before any process
// is started.

import {
  buildManifest,
  type DatasetManifest,
  defaultImageSize,
  makeShardMap,
  openSource,
  type ShardMap,
  type Source,
  splitSamples,
} from "@lockstep/dataset";
import { buildNetwork, type Network } from "@lockstep/model";
import type { Timetable } from "@lockstep/protocol";
import {
  InputError,
  type JobSpec,
  type Normalization,
  type ResolvedJobSpec,
  resolveMicroBatches,
} from "@lockstep/spec";

/** What is known before any file is read whole. */
export interface Outline {
  /** Resolved, but for measured normalisation. */
  readonly spec: JobSpec & Pick<ResolvedJobSpec, "dataset" | "training">;
  readonly source: Source;
  readonly network: Network;
  readonly timetable: Timetable;
  readonly shards: ShardMap;
}

export interface Prepared extends Outline {
  readonly manifest: DatasetManifest;
}

/** Its confusion matrix, 8 bytes a cell, then fits a message of 16 MiB: more would fail at the first validation. */
const classesMax = 1_000;

/**
 * Indexes and splits the dataset and checks the model's shapes against it.
 * @throws InputError naming field, class or layer
 */
export async function outline(spec: JobSpec): Promise<Outline> {
  const source = await openSource(spec.dataset.path, spec.dataset.format);
  checkClasses(source);
  const sizes = defaultImageSize(source);
  const imageSize = spec.dataset.imageSize === "auto" ? sizes.imageSize : spec.dataset.imageSize;
  const channels = spec.dataset.channels === "auto" ? sizes.channels : spec.dataset.channels;
  const microBatches = resolveMicroBatches(spec.training);
  const network = buildNetwork(spec.model, { channels, ...imageSize }, source.classes.length);
  const splits = splitSamples(source, spec.dataset.split);
  if (splits.train.length === 0)
    throw new InputError({
      where: source.root,
      found: "no training samples",
      allowed: "one image of each class at least",
    });
  checkNormalization(spec, channels);
  return {
    spec: {
      ...spec,
      dataset: { ...spec.dataset, format: source.format, imageSize, channels },
      training: { ...spec.training, microBatches },
    },
    source,
    network,
    timetable: {
      trainSamples: splits.train.length,
      validationSamples: splits.validation.length,
      testSamples: splits.test.length,
      epochs: spec.training.epochs,
      batchSize: spec.training.batchSize,
      microBatches,
    },
    shards: makeShardMap({ version: 1, sampleCount: source.labels.length, shardCount: spec.cluster.dataShards }),
  };
}

/** Hashes every file. */
export async function withManifest(
  known: Outline,
  onProgress: (done: { files: number }, total: { files: number }) => void,
  signal: AbortSignal,
): Promise<Prepared> {
  const manifest = await buildManifest(known.source, { split: known.spec.dataset.split, onProgress, signal });
  return { ...known, manifest };
}

/** Nothing is left to decide. */
export function resolved(outlined: Outline, normalize: Normalization): ResolvedJobSpec {
  return { ...outlined.spec, preprocess: { ...outlined.spec.preprocess, normalize } };
}

function checkClasses(source: Source): void {
  const { length } = source.classes;
  if (length >= 2 && length <= classesMax) return;
  const found = length === 1 ? "1 class" : `${length} classes`;
  const allowed = `2 to ${classesMax.toLocaleString("en-US")} classes, each a folder of images in this folder`;
  throw new InputError({ where: source.root, found, allowed });
}

function checkNormalization(spec: JobSpec, channels: number): void {
  const { normalize } = spec.preprocess;
  if (typeof normalize === "string") return;
  for (const field of ["mean", "std"] as const) {
    if (normalize[field].length === channels) continue;
    const where = `preprocess.normalize.${field}`;
    throw new InputError({ where, found: `${normalize[field].length} values`, allowed: `one a channel: ${channels}` });
  }
}
