import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { phaseOrder, type Splits } from "@lockstep/dataset";
import { lastPosition, locate, type Timetable } from "@lockstep/protocol";
import { SampleHashSum } from "@lockstep/random";
import { PositionRecord } from "@lockstep/rpc";
import type { EpochEvent, JobEvent } from "@lockstep/spec";
import { Accounting } from "./accounting.js";

const seed = 5;
const splits: Splits = {
  train: Uint32Array.from({ length: 20 }, (_, i) => 3 * i),
  validation: Uint32Array.of(1, 4, 7, 10, 13),
  test: Uint32Array.of(2, 5, 8),
};
const timetable: Timetable = {
  trainSamples: 20,
  validationSamples: 5,
  testSamples: 3,
  epochs: 2,
  batchSize: 8,
  microBatches: 2,
};
const whole = 2n ** 32n;

/** What every worker reports when all is right: two thirds correct or so, a loss of 1/2 a sample. */
function rightRecord(position: number, changes: Partial<PositionRecord> = {}): PositionRecord {
  const place = locate(timetable, position);
  const order = phaseOrder(splits, place.phase, seed, place.epoch);
  const hash = new SampleHashSum();
  for (let at = place.firstSample; at < place.endSample; at++) hash.add(place.epoch, at, order[at] as number);
  const samples = place.endSample - place.firstSample;
  return PositionRecord.fromPartial({
    position,
    samples,
    correct: samples - 1,
    loss: (BigInt(samples) * whole) / 2n,
    sampleHash: hash.value,
    learningRate: place.phase === "train" ? 0.1 : 0,
    chain: BigInt(position),
    phaseMs: [10, 20, 30, 40],
    ...changes,
  });
}

function newAccounting() {
  const events: JobEvent[] = [];
  const metrics: Record<string, unknown>[] = [];
  const clock = { ms: 0 };
  const accounting = new Accounting({
    timetable,
    splits,
    seed,
    tell: (event) => events.push(event),
    metric: (line) => metrics.push(line as Record<string, unknown>),
    now: () => clock.ms,
  });
  const epochs = () => events.filter((event): event is EpochEvent => event.type === "epoch");
  return { accounting, events, metrics, clock, epochs };
}

const all = Array.from({ length: lastPosition(timetable) }, (_, i) => i + 1);

describe("accounting", () => {
  test("counts every position once and in order, however reports come", () => {
    const inOrder = newAccounting();
    for (const position of all) inOrder.accounting.add(rightRecord(position));
    const shuffled = newAccounting();
    // Two workers, the second of which is one position ahead, and every report twice.
    for (const position of all.filter((each) => each % 2 === 0)) {
      for (const report of [position, position, position - 1, position - 1]) {
        shuffled.accounting.add(rightRecord(report, { phaseMs: [report] }));
      }
    }
    for (const position of all) shuffled.accounting.add(rightRecord(position));
    assert.equal(shuffled.accounting.counted, all.length);
    assert.deepEqual(
      shuffled.metrics.map((line) => line["position"]).filter((position) => position !== undefined),
      all,
    );
    const { imagesPerSecond: _a, ...expected } = inOrder.accounting.figures();
    const { imagesPerSecond: _b, ...figures } = shuffled.accounting.figures();
    assert.deepEqual(figures, expected);
  });

  test("acknowledges only up to the first gap", () => {
    const { accounting } = newAccounting();
    assert.deepEqual(accounting.add(rightRecord(2)), []);
    assert.equal(accounting.counted, 0);
    assert.deepEqual(
      accounting.add(rightRecord(1)).map((record) => record.position),
      [1, 2],
    );
    assert.equal(accounting.counted, 2);
  });

  test("a second report that differs in any deterministic field is an alarm that names the position", () => {
    const changes: Partial<PositionRecord>[] = [
      { samples: 7 },
      { correct: 1 },
      { loss: 1n },
      { notFinite: 1 },
      { sampleHash: 1n },
      { learningRate: 0.2 },
      { confusion: [1n] },
      { chain: 99n },
    ];
    for (const change of changes) {
      const { accounting } = newAccounting();
      accounting.add(rightRecord(1));
      assert.deepEqual(accounting.add(rightRecord(1, { phaseMs: [999] })), [], "timings are never compared");
      assert.throws(
        () => accounting.add(rightRecord(1, change)),
        /position 1 differently/,
        JSON.stringify(Object.keys(change)),
      );
    }
  });

  test("a position that used other samples than it had to is an alarm", () => {
    for (const position of [1, 3, 4, all.length]) {
      const { accounting } = newAccounting();
      for (let before = 1; before < position; before++) accounting.add(rightRecord(before));
      const wrong = rightRecord(position);
      const oneLess = { ...wrong, samples: wrong.samples - 1 };
      assert.throws(() => accounting.add(oneLess), new RegExp(`position ${position} used`));
      const { accounting: other } = newAccounting();
      for (let before = 1; before < position; before++) other.add(rightRecord(before));
      assert.throws(
        () => other.add({ ...wrong, sampleHash: wrong.sampleHash + 1n }),
        new RegExp(`position ${position} used`),
      );
    }
  });

  test("an epoch's figures are means over its samples, not over its steps", () => {
    const { accounting, epochs } = newAccounting();
    // Steps of 8, 8 and 4 samples with one wrong answer each: 17 of 20.
    for (const position of all) accounting.add(rightRecord(position));
    assert.equal(epochs().length, 2);
    const [first] = epochs();
    assert.ok(first !== undefined);
    assert.deepEqual([first.epoch, first.epochs, first.samples], [1, 2, 20]);
    assert.deepEqual([first.loss, first.accuracy, first.valLoss, first.valAccuracy], [0.5, 17 / 20, 0.5, 4 / 5]);
    const figures = accounting.figures();
    assert.deepEqual([figures.testAccuracy, figures.testLoss, figures.valAccuracy], [2 / 3, 0.5, 4 / 5]);
    const hashes = epochs().map((epoch) => `${epoch.sampleHash}\n`);
    assert.equal(figures.samplesSha256, createHash("sha256").update(hashes.join("")).digest("hex"));
  });

  test("positions that no worker told of are named, from the first gap on", () => {
    const { accounting } = newAccounting();
    assert.equal(accounting.untoldUpTo(0), undefined);
    for (const position of [1, 2, 4]) accounting.add(rightRecord(position));
    assert.equal(accounting.untoldUpTo(2), undefined);
    assert.match(accounting.untoldUpTo(3) ?? "", /at position 3:/);
    assert.match(accounting.untoldUpTo(4) ?? "", /at positions 3 to 4:/);
    accounting.add(rightRecord(3));
    assert.equal(accounting.untoldUpTo(4), undefined);
  });

  test("an epoch's sample hash is that of all its samples in their order", () => {
    const { accounting, epochs } = newAccounting();
    for (const position of all) accounting.add(rightRecord(position));
    for (const epoch of [0, 1]) {
      const expected = new SampleHashSum();
      phaseOrder(splits, "train", seed, epoch).forEach((sample, place) => expected.add(epoch, place, sample));
      assert.equal(epochs()[epoch]?.sampleHash, expected.value.toString(16).padStart(16, "0"));
    }
    assert.notEqual(epochs()[0]?.sampleHash, epochs()[1]?.sampleHash);
  });

  test("progress comes at most four times a second, and always at a phase's end", () => {
    const { accounting, events, clock } = newAccounting();
    for (const position of all) {
      accounting.add(rightRecord(position));
      clock.ms += 10;
    }
    const progress = events.filter((event) => event.type === "progress");
    const ends = progress.filter((event) => event.step === event.steps).map((event) => `${event.epoch} ${event.phase}`);
    assert.deepEqual(ends, ["1 train", "1 validation", "2 train", "2 validation", "2 test"]);
    assert.equal(progress.length, ends.length + 1, "and once at the very start");
  });

  test("metrics carry no times: equal runs have equal files", () => {
    const runs = [3, 1_000].map((pace) => {
      const { accounting, metrics, clock } = newAccounting();
      for (const position of all) {
        accounting.add(rightRecord(position, { phaseMs: [pace] }));
        clock.ms += pace;
      }
      return JSON.stringify(metrics);
    });
    assert.equal(runs[0], runs[1]);
  });
});
