import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openEngine } from "../engine.js";
import { byte, readRecorded, recordedCase } from "../recorded.js";
import { exportMetadataKeys, exportModel } from "./export.js";
import { loadOnnxRuntime } from "./session.js";

const runtime = loadOnnxRuntime();
const recorded = readRecorded();

describe("the deployable model", () => {
  for (const reference of recorded.gradients) {
    const { input, classes, samples } = reference;
    const { network, layout, normalize, parameters, statistics } = recordedCase(recorded, reference);
    const names = Array.from({ length: classes }, (_, index) => `class "${index}" é`);
    const model = exportModel(
      network,
      layout,
      { parameters, statistics },
      { classes: names, normalize, version: "0.1.0" },
    );

    test(`gives the probabilities of ${JSON.stringify(reference.model)} for any number of images`, async () => {
      const session = await runtime.InferenceSession.create(model, { logSeverityLevel: 3 });
      const sampleBytes = input.channels * input.height * input.width;
      for (const count of [1, 3, samples]) {
        const pixels = Uint8Array.from({ length: count * sampleBytes }, (_, i) => byte(1, i));
        const image = new runtime.Tensor("uint8", pixels, [count, input.height, input.width, input.channels]);
        const { probabilities } = await session.run({ image });
        assert.deepEqual(probabilities?.dims, [count, classes]);
        for (let sample = 0; sample < count; sample++) {
          const row = reference.evaluation.logits.slice(sample * classes, (sample + 1) * classes);
          const exponentials = row.map((logit) => Math.exp(logit - Math.max(...row)));
          const total = exponentials.reduce((sum, each) => sum + each, 0);
          exponentials.forEach((each, index) => {
            const found = Number(probabilities?.data[sample * classes + index]);
            assert.ok(Math.abs(found - each / total) < 1e-5, `sample ${sample}, class ${index}: ${found}`);
          });
        }
      }
      await session.release();
    });

    test(`agrees with the trainer's own evaluation of ${JSON.stringify(reference.model)}`, async () => {
      const engine = await openEngine({
        network,
        layout,
        normalize,
        seed: 0,
        microBatchSamples: samples,
        threads: 1,
        lanesMax: 1,
      });
      const session = await runtime.InferenceSession.create(model, { logSeverityLevel: 3 });
      try {
        const pixels = Uint8Array.from({ length: samples * input.channels * input.height * input.width }, (_, i) =>
          byte(1, i),
        );
        const labels = Int32Array.from({ length: samples }, (_, i) => i % classes);
        engine.load(parameters, statistics);
        const { loss, predicted } = await engine.evaluate({ position: 1, microBatch: 0, samples, pixels, labels });
        const image = new runtime.Tensor("uint8", pixels, [samples, input.height, input.width, input.channels]);
        const { probabilities } = await session.run({ image });
        const values = probabilities?.data as Float32Array;
        let expected = 0;
        labels.forEach((label, sample) => {
          const row = values.subarray(sample * classes, (sample + 1) * classes);
          expected -= Math.log(row[label] ?? NaN);
          assert.equal(predicted[sample], row.indexOf(Math.max(...row)));
        });
        assert.ok(Math.abs(loss - expected) < 1e-5 * samples, `loss ${loss}, from probabilities ${expected}`);
      } finally {
        await session.release();
        await engine.close();
      }
    });
  }

  test("carries class names, sizes and normalisation", () => {
    const [reference] = recorded.gradients;
    assert.ok(reference !== undefined);
    const { network, layout, normalize, parameters, statistics } = recordedCase(recorded, reference);
    const classes = ["cat", "dog", "été", "d", "e"];
    const bytes = exportModel(network, layout, { parameters, statistics }, { classes, normalize, version: "9.8.7" });
    const text = Buffer.from(bytes).toString("utf8");
    for (const key of Object.values(exportMetadataKeys)) assert.ok(text.includes(key), key);
    for (const value of [JSON.stringify(classes), '{"height":10,"width":8}', JSON.stringify(normalize), "9.8.7"]) {
      assert.ok(text.includes(value), value);
    }
  });
});
