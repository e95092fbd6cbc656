import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  epochEnd,
  lastPosition,
  locate,
  microBatchRange,
  microBatchSamples,
  phaseSamples,
  type Phase,
  type Timetable,
  trainingSteps,
} from "./position.js";

/** Batch sizes and micro-batches that a spec may have: cut evenly, M of them. */
const cuts = [
  [1, 1],
  [5, 5],
  [8, 4],
  [32, 2],
  [50, 5],
  [7, 4],
  [33, 11],
].filter(([batch, micro]) => Math.ceil((batch as number) / Math.ceil((batch as number) / (micro as number))) === micro);

const timetables: Timetable[] = cuts.flatMap(([batchSize, microBatches]) =>
  [1, 2, 7, 31, 32, 33, 50, 64, 101].map((trainSamples) => ({
    trainSamples,
    validationSamples: trainSamples % 3 === 0 ? 0 : trainSamples + 5,
    testSamples: trainSamples % 2 === 0 ? 0 : 9,
    epochs: 1 + (trainSamples % 3),
    batchSize: batchSize as number,
    microBatches: microBatches as number,
  })),
);

/** Samples of every (epoch, phase) in the order in which positions and micro-batches use them. */
function usedSamples(timetable: Timetable): Map<string, number[]> {
  const used = new Map<string, number[]>();
  for (let position = 1; position <= lastPosition(timetable); position++) {
    const place = locate(timetable, position);
    const list = used.get(`${place.epoch} ${place.phase}`) ?? [];
    used.set(`${place.epoch} ${place.phase}`, list);
    for (let microBatch = 0; microBatch < place.microBatches; microBatch++) {
      const { first, end } = microBatchRange(timetable, place, microBatch);
      assert.ok(first < end, "no micro-batch is empty");
      assert.ok(end - first <= microBatchSamples(timetable), "none is larger than the others may be");
      for (let sample = first; sample < end; sample++) list.push(sample);
    }
  }
  return used;
}

describe("positions", () => {
  test("use every sample of every epoch exactly once and in order, evaluation at its epochs' ends", () => {
    assert.ok(timetables.length > 40);
    for (const timetable of timetables) {
      const expected = new Map<string, number[]>();
      const whole = (epoch: number, phase: Phase) => {
        const samples = phaseSamples(timetable, phase);
        if (samples > 0) expected.set(`${epoch} ${phase}`, [...Array(samples).keys()]);
      };
      for (let epoch = 0; epoch < timetable.epochs; epoch++) {
        whole(epoch, "train");
        whole(epoch, "validation");
      }
      whole(timetable.epochs - 1, "test");
      assert.deepEqual([...usedSamples(timetable)], [...expected], JSON.stringify(timetable));
    }
  });

  test("are numbered in the order train, validation of each epoch, then test", () => {
    const timetable = {
      trainSamples: 20,
      validationSamples: 9,
      testSamples: 8,
      epochs: 2,
      batchSize: 8,
      microBatches: 2,
    };
    const phases = Array.from({ length: lastPosition(timetable) }, (_, i) => {
      const { epoch, phase, index, steps } = locate(timetable, i + 1);
      return `${epoch} ${phase} ${index}/${steps}`;
    });
    assert.deepEqual(phases, [
      "0 train 0/3",
      "0 train 1/3",
      "0 train 2/3",
      "0 validation 0/2",
      "0 validation 1/2",
      "1 train 0/3",
      "1 train 1/3",
      "1 train 2/3",
      "1 validation 0/2",
      "1 validation 1/2",
      "1 test 0/1",
    ]);
    assert.equal(epochEnd(timetable, 0), 5);
    assert.equal(epochEnd(timetable, 1), 10);
  });

  test("a short last batch has fewer micro-batches, of which only the last is short", () => {
    const timetable = {
      trainSamples: 105,
      validationSamples: 0,
      testSamples: 0,
      epochs: 1,
      batchSize: 50,
      microBatches: 5,
    };
    const place = locate(timetable, 3);
    assert.deepEqual([place.firstSample, place.endSample, place.microBatches], [100, 105, 1]);
    assert.deepEqual(microBatchRange(timetable, place, 0), { first: 100, end: 105 });
    const longer = { ...timetable, trainSamples: 123 };
    const last = locate(longer, 3);
    assert.equal(last.microBatches, 3);
    assert.deepEqual(microBatchRange(longer, last, 2), { first: 120, end: 123 });
  });

  test("training steps up to a position count no evaluation", () => {
    for (const timetable of timetables) {
      let steps = 0;
      assert.equal(trainingSteps(timetable, 0), 0);
      for (let position = 1; position <= lastPosition(timetable); position++) {
        if (locate(timetable, position).phase === "train") steps++;
        assert.equal(trainingSteps(timetable, position), steps, `${position} of ${JSON.stringify(timetable)}`);
      }
    }
  });

  test("outside of the job's are refused", () => {
    const timetable = {
      trainSamples: 8,
      validationSamples: 0,
      testSamples: 0,
      epochs: 1,
      batchSize: 8,
      microBatches: 2,
    };
    for (const position of [0, 2, -1, 1.5, Number.NaN]) assert.throws(() => locate(timetable, position), /position/);
    for (const microBatch of [-1, 2]) assert.throws(() => microBatchRange(timetable, locate(timetable, 1), microBatch));
  });
});
