import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { applyUpdate, initialState } from "@lockstep/model";
import { openEngine, type Engine, type MicroBatch } from "../engine.js";
import { byte, readRecorded, type RecordedCase, recordedCase, relativeError } from "../recorded.js";

const recorded = readRecorded();

async function withEngine(
  { network, layout, normalize }: RecordedCase,
  microBatchSamples: number,
  use: (engine: Engine) => Promise<void>,
): Promise<void> {
  const engine = await openEngine({ network, layout, normalize, seed: 0, microBatchSamples, threads: 1, lanesMax: 1 });
  try {
    await use(engine);
  } finally {
    await engine.close();
  }
}

describe(`against PyTorch ${recorded.torch} in float64`, () => {
  for (const reference of recorded.gradients) {
    const { model, input, classes, samples } = reference;
    const name = `${JSON.stringify(model)} on ${input.channels}x${input.height}x${input.width}`;
    const prepared = recordedCase(recorded, reference);
    const batch: MicroBatch = {
      position: 1,
      microBatch: 0,
      samples,
      pixels: Uint8Array.from({ length: samples * input.channels * input.height * input.width }, (_, i) => byte(1, i)),
      labels: Int32Array.from({ length: samples }, (_, sample) => (3 * sample) % classes),
    };

    test(`gradients, loss and batch statistics of ${name}`, () =>
      withEngine(prepared, samples, async (engine) => {
        const { layout } = prepared;
        const out = new Float32Array(engine.vectorLength);
        engine.load(prepared.parameters, prepared.statistics);
        const result = await engine.gradient(batch, out);
        assert.ok(Math.abs(result.loss / reference.loss - 1) < 1e-5, `loss ${result.loss}, PyTorch ${reference.loss}`);
        assert.equal(result.correct, reference.correct);
        assert.equal(result.finite, true);
        for (const { name, offset, length } of layout.parameters) {
          const error = relativeError(out.subarray(offset, offset + length), reference.gradients[name] ?? []);
          assert.ok(error < 1e-4, `gradient of ${name}: relative error ${error}`);
        }
        for (const { name, offset, length } of layout.statistics) {
          const first = layout.parameterCount + offset;
          const error = relativeError(out.subarray(first, first + length), reference.statistics[name] ?? []);
          assert.ok(error < 1e-4, `batch statistic for ${name}: relative error ${error}`);
        }
      }));

    test(`evaluation of ${name} with running statistics`, () =>
      withEngine(prepared, samples, async (engine) => {
        engine.load(prepared.parameters, prepared.statistics);
        const result = await engine.evaluate(batch);
        const { loss, correct, logits } = reference.evaluation;
        assert.ok(Math.abs(result.loss / loss - 1) < 1e-5, `loss ${result.loss}, PyTorch ${loss}`);
        assert.equal(result.correct, correct);
        const wanted = Array.from({ length: samples }, (_, sample) => {
          const row = logits.slice(sample * classes, (sample + 1) * classes);
          return row.indexOf(Math.max(...row));
        });
        assert.deepEqual([...result.predicted], wanted);
      }));
  }
});

describe(`training of simple-cnn follows PyTorch ${recorded.torch} in float64`, () => {
  const { input, classes, samples, batchSize, steps, cases } = recorded.training;
  const prepared = recordedCase(recorded, recorded.training);
  const sampleBytes = input.channels * input.height * input.width;
  const pixels = Uint8Array.from(
    { length: samples * sampleBytes },
    (_, i) => (byte(2, i) >> 1) + 32 * (Math.floor(i / sampleBytes) % classes),
  );

  function batchOf(step: number): MicroBatch {
    const indices = Array.from({ length: batchSize }, (_, j) => (step * batchSize + j) % samples);
    return {
      position: step + 1,
      microBatch: 0,
      samples: batchSize,
      pixels: Uint8Array.from(
        indices.flatMap((index) => [...pixels.subarray(index * sampleBytes, (index + 1) * sampleBytes)]),
      ),
      labels: Int32Array.from(indices, (index) => index % classes),
    };
  }

  for (const { name, optimizer, losses, parameters } of cases) {
    test(`${name}: ${steps} losses, and the parameters after 5 steps`, () =>
      withEngine(prepared, batchSize, async (engine) => {
        const { network, layout } = prepared;
        const state = initialState(network, layout, optimizer, 0);
        state.parameters.set(prepared.parameters);
        const sums = new Float32Array(engine.vectorLength);
        for (let step = 0; step < steps; step++) {
          engine.load(state.parameters, state.statistics);
          const { loss } = await engine.gradient(batchOf(step), sums);
          const error = Math.abs(loss / batchSize - (losses[step] ?? NaN));
          assert.ok(error < 1e-3, `loss of step ${step}: ${loss / batchSize}, PyTorch ${losses[step]}`);
          applyUpdate(state, { sums, samples: batchSize, microBatches: 1 }, layout, optimizer);
          if (step !== 4) continue;
          for (const entry of layout.parameters) {
            const found = state.parameters.subarray(entry.offset, entry.offset + entry.length);
            const difference = relativeError(found, parameters[entry.name] ?? []);
            assert.ok(difference < 1e-4, `${entry.name} after 5 steps: relative difference ${difference}`);
          }
        }
      }));
  }
});
