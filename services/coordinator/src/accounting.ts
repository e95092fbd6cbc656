// What a job did, position by position: each record is counted once, in order, checked against the samples that the position
// had to use, and turned into progress, epochs and the figures of the summary.

import { createHash } from "node:crypto";
import { phaseOrder, type Splits } from "@lockstep/dataset";
import { epochEnd, locate, lossUnit, phaseSamples, type Place, type Timetable } from "@lockstep/protocol";
import { SampleHashSum } from "@lockstep/random";
import type { PositionRecord } from "@lockstep/rpc";
import type { EpochEvent, JobEvent } from "@lockstep/spec";

/** Sums over the positions of one phase so far. */
interface PhaseSums {
  samples: number;
  correct: number;
  /** In units of 2^-32. */
  loss: bigint;
  hash: bigint;
  /** As the workers measured it. */
  seconds: number;
  readonly startedMs: number;
}

export interface Figures {
  readonly testAccuracy: number | null;
  readonly testLoss: number | null;
  readonly valAccuracy: number | null;
  readonly epochs: number;
  readonly samplesSha256: string;
  readonly imagesPerSecond: number;
}

export interface AccountingOptions {
  readonly timetable: Timetable;
  readonly splits: Splits;
  readonly seed: number;
  tell(event: JobEvent): void;
  /** One line of metrics.jsonl. */
  metric(line: object): void;
  /** Milliseconds of a steady clock. */
  now(): number;
}

const hashMask = (1n << 64n) - 1n;
const progressEveryMs = 250;
/** Positions back that a late report is compared with: a worker that attaches again repeats what it had not yet delivered. */
const comparedMax = 10_000;

export class Accounting {
  readonly #options: AccountingOptions;
  /** Reported, but positions before them are not: by position. */
  readonly #waiting = new Map<number, PositionRecord>();
  /** Counted or waiting: what a second report is compared with, some 200 characters each. */
  readonly #seen = new Map<number, string>();
  readonly #epochHashes: bigint[] = [];
  #sums: PhaseSums;
  #order: { key: string; indices: Uint32Array } | undefined;
  #trained: PhaseSums | undefined;
  #validated: PhaseSums | undefined;
  #tested: PhaseSums | undefined;
  #epochs: EpochEvent[] = [];
  #next = 1;
  #progressMs = -Infinity;

  constructor(options: AccountingOptions) {
    this.#options = options;
    this.#sums = this.#newSums();
  }

  /** The last position that was counted; all before it were too. */
  get counted(): number {
    return this.#next - 1;
  }

  /** A sentence on the positions up to `position` that are not counted, though they were applied; undefined: there are none. */
  untoldUpTo(position: number): string | undefined {
    if (this.counted >= position) return undefined;
    const first = this.counted + 1;
    const which = first === position ? `position ${position}` : `positions ${first} to ${position}`;
    return `no worker has told what it did at ${which}: the figures are incomplete, and so is the check of the samples`;
  }

  /**
   * First write wins.
   * @returns the records that were counted now, in order
   * @throws Error when a record differs from an earlier one of its position, or used other samples than it had to
   */
  add(record: PositionRecord): PositionRecord[] {
    const words = deterministicPart(record);
    const earlier = this.#seen.get(record.position);
    if (record.position <= this.counted - comparedMax) return [];
    if (earlier !== undefined) {
      if (earlier === words) return [];
      throw new Error(`two workers report position ${record.position} differently: ${earlier} and ${words}`);
    }
    this.#seen.set(record.position, words);
    this.#waiting.set(record.position, record);
    const counted: PositionRecord[] = [];
    for (let next = this.#waiting.get(this.#next); next !== undefined; next = this.#waiting.get(this.#next)) {
      this.#waiting.delete(this.#next);
      this.#count(next);
      this.#seen.delete(this.#next - comparedMax);
      counted.push(next);
      this.#next++;
    }
    return counted;
  }

  figures(): Figures {
    const last = this.#epochs.at(-1);
    const hash = createHash("sha256");
    for (const each of this.#epochHashes) hash.update(hexOf(each)).update("\n");
    return {
      testAccuracy: this.#tested === undefined ? null : accuracyOf(this.#tested),
      testLoss: this.#tested === undefined ? null : lossOf(this.#tested),
      valAccuracy: last?.valAccuracy ?? null,
      epochs: this.#epochs.length,
      samplesSha256: hash.digest("hex"),
      imagesPerSecond: last?.imagesPerSecond ?? 0,
    };
  }

  #count(record: PositionRecord): void {
    const options = this.#options;
    const place = locate(options.timetable, record.position);
    this.#checkSamples(place, record);
    if (place.index === 0) this.#sums = this.#newSums();
    const sums = this.#sums;
    sums.samples += record.samples;
    sums.correct += record.correct;
    sums.loss += record.loss;
    sums.hash = (sums.hash + record.sampleHash) & hashMask;
    sums.seconds += record.phaseMs.reduce((total, each) => total + each, 0) / 1000;
    options.metric({
      position: place.position,
      epoch: place.epoch + 1,
      phase: place.phase,
      step: place.index + 1,
      samples: record.samples,
      loss: Number(record.loss) / lossUnit / record.samples,
      accuracy: record.correct / record.samples,
      learningRate: place.phase === "train" ? record.learningRate : undefined,
      sampleHash: hexOf(record.sampleHash),
    });
    this.#tellProgress(place);
    if (place.index + 1 === place.steps) this.#endPhase(place);
  }

  /** Every position uses its own samples, each once: the summed hash says so. */
  #checkSamples(place: Place, record: PositionRecord): void {
    const expected = new SampleHashSum();
    const order = this.#orderOf(place);
    for (let at = place.firstSample; at < place.endSample; at++) expected.add(place.epoch, at, order[at] as number);
    if (record.samples === place.endSample - place.firstSample && record.sampleHash === expected.value) return;
    const due = `${place.endSample - place.firstSample} samples with hash ${hexOf(expected.value)}`;
    throw new Error(
      `position ${place.position} used ${record.samples} samples with hash ${hexOf(record.sampleHash)} where ${due} were due`,
    );
  }

  #orderOf(place: Place): Uint32Array {
    const key = `${place.phase} ${place.epoch}`;
    const { splits, seed } = this.#options;
    if (this.#order?.key !== key) this.#order = { key, indices: phaseOrder(splits, place.phase, seed, place.epoch) };
    return this.#order.indices;
  }

  #tellProgress(place: Place): void {
    const now = this.#options.now();
    const last = place.index + 1 === place.steps;
    if (!last && now - this.#progressMs < progressEveryMs) return;
    this.#progressMs = now;
    const sums = this.#sums;
    const seconds = Math.max(1e-3, (now - sums.startedMs) / 1000, sums.seconds);
    const total = phaseSamples(this.#options.timetable, place.phase);
    this.#options.tell({
      type: "progress",
      epoch: place.epoch + 1,
      epochs: this.#options.timetable.epochs,
      phase: place.phase,
      step: place.index + 1,
      steps: place.steps,
      samples: sums.samples,
      samplesTotal: total,
      loss: lossOf(sums),
      accuracy: accuracyOf(sums),
      imagesPerSecond: sums.samples / seconds,
      secondsLeft: ((total - sums.samples) * seconds) / sums.samples,
    });
  }

  #endPhase(place: Place): void {
    switch (place.phase) {
      case "train":
        this.#trained = this.#sums;
        this.#epochHashes.push(this.#sums.hash);
        this.#validated = undefined;
        break;
      case "validation":
        this.#validated = this.#sums;
        break;
      case "test":
        this.#tested = this.#sums;
        break;
    }
    if (place.position === epochEnd(this.#options.timetable, place.epoch)) this.#endEpoch(place.epoch);
    else if (place.phase === "test") this.#options.metric({ event: "test", ...summed(this.#sums) });
  }

  #endEpoch(epoch: number): void {
    const trained = this.#trained;
    if (trained === undefined) return;
    const validated = this.#validated;
    const event: EpochEvent = {
      type: "epoch",
      epoch: epoch + 1,
      epochs: this.#options.timetable.epochs,
      loss: lossOf(trained),
      accuracy: accuracyOf(trained),
      valLoss: validated === undefined ? null : lossOf(validated),
      valAccuracy: validated === undefined ? null : accuracyOf(validated),
      seconds: trained.seconds + (validated?.seconds ?? 0),
      imagesPerSecond: trained.samples / Math.max(1e-3, trained.seconds),
      sampleHash: hexOf(trained.hash),
      samples: trained.samples,
    };
    this.#epochs.push(event);
    this.#options.tell(event);
  }

  #newSums(): PhaseSums {
    return { samples: 0, correct: 0, loss: 0n, hash: 0n, seconds: 0, startedMs: this.#options.now() };
  }
}

/** Everything but timings (R6); of the confusion matrix, which has up to a million cells, a hash. */
function deterministicPart(record: PositionRecord): string {
  const { samples, correct, loss, notFinite, sampleHash, learningRate, confusion, chain } = record;
  const cells = createHash("sha256").update(BigUint64Array.from(confusion)).digest("hex").slice(0, 32);
  return [samples, correct, loss, notFinite, sampleHash, learningRate, chain, cells].join(" ");
}

function lossOf(sums: PhaseSums): number {
  return Number(sums.loss) / lossUnit / sums.samples;
}

function accuracyOf(sums: PhaseSums): number {
  return sums.correct / sums.samples;
}

function summed(sums: PhaseSums): { samples: number; loss: number; accuracy: number } {
  return { samples: sums.samples, loss: lossOf(sums), accuracy: accuracyOf(sums) };
}

function hexOf(hash: bigint): string {
  return hash.toString(16).padStart(16, "0");
}
