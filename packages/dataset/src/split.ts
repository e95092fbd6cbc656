import { InputError, type DatasetSpec } from "@lockstep/spec";
import { permutation, splitDraws } from "@lockstep/random";
import type { Source } from "./source.js";

/** Sample indices of each part, ascending; no sample is in two. */
export interface Splits {
  readonly train: Uint32Array;
  readonly validation: Uint32Array;
  readonly test: Uint32Array;
}

export type SplitShares = DatasetSpec["split"];

const partNames = ["train", "validation", "test"] as const;
type PartName = (typeof partNames)[number];
const leftOut = 3;
const unassigned = 255;

/** Samples of one class in train, validation, test, and in none when the shares add up to less than 1. */
type Counts = readonly [number, number, number, number];

/**
 * Divides the samples class by class: each class's samples are shuffled by draws keyed by (split seed, class name) and dealt
 * by the shares, rounded by largest remainder. Parts that a dataset comes with stay as they are; a part that it lacks takes
 * its share of the training part, and what is left there stays training, whatever the training share.
 * @throws InputError naming a class with too few samples for a part
 */
export function splitSamples(
  source: Pick<Source, "root" | "classes" | "labels" | "ready">,
  shares: SplitShares,
): Splits {
  checkShares(shares);
  const { ready, labels } = source;
  const part = ready === undefined ? new Uint8Array(labels.length).fill(unassigned) : Uint8Array.from(ready.part);
  const wanted = ready === undefined ? shares : sharesOfTrainingPart(shares, ready.present);
  const dealt = ready === undefined ? unassigned : 0;
  const byClass = membersByClass(labels, source.classes.length, (sample) => part[sample] === dealt);
  for (const [label, members] of byClass.entries()) {
    const name = source.classes[label] as string;
    const counts = countsOf(members.length, wanted);
    requireEnough(source.root, name, members.length, wanted, counts, ready !== undefined);
    deal(members, counts, permutation(members.length, splitDraws(shares.seed, name)), part);
  }
  return { train: samplesOf(part, 0), validation: samplesOf(part, 1), test: samplesOf(part, 2) };
}

function checkShares(shares: SplitShares): void {
  for (const name of partNames) {
    const share = shares[name];
    if (share >= 0 && share <= 1 && (name !== "train" || share > 0)) continue;
    const allowed = name === "train" ? "a number above 0, at most 1" : "a number from 0 to 1";
    throw new InputError({ where: `dataset.split.${name}`, found: String(share), allowed });
  }
  const sum = shares.train + shares.validation + shares.test;
  if (sum > 1 + 1e-9) {
    throw new InputError({
      where: "dataset.split",
      found: `shares that add up to ${sum}`,
      allowed: "a sum of at most 1",
    });
  }
}

function sharesOfTrainingPart(shares: SplitShares, present: { validation: boolean; test: boolean }): SplitShares {
  const validation = present.validation ? 0 : shares.validation;
  const test = present.test ? 0 : shares.test;
  return { train: 1 - validation - test, validation, test, seed: shares.seed };
}

/** Largest remainder; equal remainders go to training first, then validation, test, left out. */
function countsOf(samples: number, shares: SplitShares): Counts {
  const rest = Math.max(0, 1 - shares.train - shares.validation - shares.test);
  // 1 - 0.8 - 0.1 - 0.1 is not 0 in floating point: a rest this small is none.
  const targets = [shares.train, shares.validation, shares.test, rest > 1e-9 ? rest : 0].map(
    (share) => share * samples,
  );
  const counts = targets.map(Math.floor);
  const dealt = counts.reduce((sum, count) => sum + count, 0);
  const remainder = (k: number) => (targets[k] as number) - (counts[k] as number);
  const byRemainder = [0, 1, 2, 3].filter((k) => targets[k] !== 0).sort((a, b) => remainder(b) - remainder(a) || a - b);
  for (const k of byRemainder.slice(0, Math.max(0, samples - dealt))) counts[k] = (counts[k] as number) + 1;
  return counts as unknown as Counts;
}

function emptyPart(counts: Counts, shares: SplitShares): PartName | undefined {
  return partNames.find((name, k) => shares[name] > 0 && counts[k] === 0);
}

function requireEnough(
  root: string,
  className: string,
  samples: number,
  shares: SplitShares,
  counts: Counts,
  ready: boolean,
): void {
  const empty = emptyPart(counts, shares);
  if (empty === undefined) return;
  let enough = samples + 1;
  while (emptyPart(countsOf(enough, shares), shares) !== undefined && enough < 1e6) enough++;
  const where = ready ? "its training part" : "all";
  throw new InputError({
    where: `${root}: class "${className}"`,
    found: `${samples} image${samples === 1 ? "" : "s"} in ${where}, of which none would be for ${empty} (share ${shares[empty]})`,
    allowed: `at least ${enough} images of each class for these shares, or another dataset.split`,
  });
}

function membersByClass(labels: Int32Array, classCount: number, included: (sample: number) => boolean): Uint32Array[] {
  const counts = new Uint32Array(classCount);
  labels.forEach((label, sample) => {
    if (included(sample)) counts[label] = (counts[label] as number) + 1;
  });
  const members = Array.from(counts, (count) => new Uint32Array(count));
  const filled = new Uint32Array(classCount);
  labels.forEach((label, sample) => {
    if (!included(sample)) return;
    (members[label] as Uint32Array)[filled[label] as number] = sample;
    filled[label] = (filled[label] as number) + 1;
  });
  return members;
}

function deal(members: Uint32Array, counts: Counts, order: Uint32Array, part: Uint8Array): void {
  const [train, validation, test] = counts;
  const ends = [train, train + validation, train + validation + test] as const;
  order.forEach((member, place) => {
    const sample = members[member] as number;
    part[sample] = place < ends[0] ? 0 : place < ends[1] ? 1 : place < ends[2] ? 2 : leftOut;
  });
}

function samplesOf(part: Uint8Array, wanted: number): Uint32Array {
  let count = 0;
  for (const found of part) if (found === wanted) count++;
  const samples = new Uint32Array(count);
  let filled = 0;
  part.forEach((found, sample) => {
    if (found === wanted) samples[filled++] = sample;
  });
  return samples;
}
