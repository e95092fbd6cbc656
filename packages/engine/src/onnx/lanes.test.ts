import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import { buildNetwork, layoutOf } from "@lockstep/model";
import type { LayerSpec } from "@lockstep/spec";
import { type Engine, type EngineOptions, openEngine, type MicroBatch } from "../engine.js";
import { byte, value } from "../recorded.js";

const layers: LayerSpec[] = [
  { type: "conv2d", name: "conv1", filters: 8, kernel: 3, padding: 1 },
  { type: "relu" },
  { type: "max-pool", kernel: 2 },
  { type: "batch-norm", name: "bn1" },
  { type: "flatten" },
  { type: "dropout", name: "dropout1", rate: 0.5 },
  { type: "dense", name: "fc", units: 4 },
];
const network = buildNetwork({ layers }, { channels: 3, height: 12, width: 12 }, 4);
const layout = layoutOf(network);
const sampleBytes = 3 * 12 * 12;
const parameters = Float32Array.from({ length: layout.parameterCount }, (_, i) => 0.2 * value(7, i));
const statistics = Float32Array.from({ length: layout.statisticCount }, (_, i) => 1 + 0.5 * value(8, i));

function options(changes: Partial<EngineOptions> = {}): EngineOptions {
  return {
    network,
    layout,
    normalize: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    seed: 5,
    microBatchSamples: 8,
    threads: 1,
    lanesMax: 1,
    ...changes,
  };
}

function microBatch(
  index: number,
  changes: { samples?: number; position?: number; microBatch?: number } = {},
): MicroBatch {
  const { samples = 8, position = 3 } = changes;
  return {
    position,
    microBatch: changes.microBatch ?? index,
    samples,
    pixels: Uint8Array.from({ length: samples * sampleBytes }, (_, i) => byte(20 + index, i)),
    labels: Int32Array.from({ length: samples }, (_, i) => (i + index) % 4),
  };
}

async function withEngine<T>(changes: Partial<EngineOptions>, use: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await openEngine(options(changes));
  try {
    engine.load(parameters, statistics);
    return await use(engine);
  } finally {
    await engine.close();
  }
}

/** Gradients of micro-batches 0..5, the last one short, all in flight at once. */
async function gradients(engine: Engine): Promise<{ vectors: Float32Array[]; losses: number[]; predicted: number[] }> {
  const batches = Array.from({ length: 6 }, (_, index) => microBatch(index, { samples: index === 5 ? 3 : 8 }));
  const vectors = batches.map(() => new Float32Array(engine.vectorLength));
  const results = await Promise.all(
    batches.map((batch, index) => engine.gradient(batch, vectors[index] ?? new Float32Array(0))),
  );
  const evaluated = await Promise.all(batches.map((batch) => engine.evaluate(batch)));
  return {
    vectors,
    losses: [...results, ...evaluated].map((result) => result.loss),
    predicted: evaluated.flatMap((result) => [...result.predicted]),
  };
}

describe("lanes", () => {
  test("the same bits with 1, 2 and 3 lanes and in a second engine, whatever the threads", async () => {
    const expected = await withEngine({}, gradients);
    assert.ok(expected.vectors.every((vector) => vector.some((element) => element !== 0)));
    const divisions = [
      { threads: 2, lanesMax: 6 },
      { threads: 2, lanesMax: 1 },
      { threads: 3, lanesMax: 6 },
      { threads: 1, lanesMax: 6 },
    ];
    for (const division of divisions) {
      assert.deepEqual(await withEngine(division, gradients), expected, JSON.stringify(division));
    }
  });

  test("a short micro-batch gives the sums of its own samples: those of a lone sample each, where nothing mixes samples", async () => {
    const plain = buildNetwork(
      { layers: layers.filter(({ type }) => type !== "batch-norm" && type !== "dropout") },
      network.input,
      4,
    );
    const changes = { network: plain, layout: layoutOf(plain) };
    const engine = await openEngine(options(changes));
    try {
      engine.load(
        Float32Array.from({ length: engine.vectorLength }, (_, i) => 0.2 * value(9, i)),
        new Float32Array(0),
      );
      const whole = microBatch(0, { samples: 3 });
      const sum = new Float32Array(engine.vectorLength);
      const { loss } = await engine.gradient(whole, sum);
      const singles = new Float64Array(engine.vectorLength);
      let lossOfSingles = 0;
      for (let sample = 0; sample < 3; sample++) {
        const one = new Float32Array(engine.vectorLength);
        const pixels = whole.pixels.subarray(sample * sampleBytes, (sample + 1) * sampleBytes);
        const labels = whole.labels.subarray(sample, sample + 1);
        lossOfSingles += (await engine.gradient({ ...whole, samples: 1, pixels, labels }, one)).loss;
        one.forEach((element, i) => (singles[i] = (singles[i] ?? 0) + element));
      }
      assert.ok(Math.abs(loss - lossOfSingles) < 1e-5);
      sum.forEach((element, i) => assert.ok(Math.abs(element - (singles[i] ?? NaN)) < 1e-4, `element ${i}`));
    } finally {
      await engine.close();
    }
  });

  test("dropout is a function of seed, position and micro-batch", async () => {
    const lossOf = (engine: Engine, changes: { position?: number; microBatch?: number }) =>
      engine.gradient(microBatch(0, changes), new Float32Array(engine.vectorLength)).then((result) => result.loss);
    const same = await withEngine({}, (engine) => lossOf(engine, { position: 3, microBatch: 1 }));
    await withEngine({}, async (engine) => {
      assert.equal(await lossOf(engine, { position: 3, microBatch: 1 }), same);
      assert.notEqual(await lossOf(engine, { position: 4, microBatch: 1 }), same);
      assert.notEqual(await lossOf(engine, { position: 3, microBatch: 2 }), same);
    });
    assert.notEqual(await withEngine({ seed: 6 }, (engine) => lossOf(engine, { position: 3, microBatch: 1 })), same);
  });

  test("calls that follow a load see the new state", () =>
    withEngine({ threads: 2, lanesMax: 2 }, async (engine) => {
      const before = await engine.evaluate(microBatch(0));
      engine.load(
        parameters.map((parameter) => 2 * parameter),
        statistics,
      );
      const after = await Promise.all([engine.evaluate(microBatch(0)), engine.evaluate(microBatch(0))]);
      assert.notEqual(after[0].loss, before.loss);
      assert.equal(after[0].loss, after[1].loss);
    }));

  test("the state cannot be changed under calls in flight", () =>
    withEngine({}, async (engine) => {
      await engine.warm({ training: [], evaluation: [8] });
      const running = engine.evaluate(microBatch(0));
      await Promise.resolve();
      await Promise.resolve();
      assert.throws(() => engine.load(parameters, statistics), /while 1 micro-batches/);
      await running;
    }));

  test("a gradient that is not finite is reported as such", () =>
    withEngine({}, async (engine) => {
      const out = new Float32Array(engine.vectorLength);
      assert.equal((await engine.gradient(microBatch(0), out)).finite, true);
      engine.load(
        parameters.map((parameter, i) => (i === 0 ? Infinity : parameter)),
        statistics,
      );
      assert.equal((await engine.gradient(microBatch(0), out)).finite, false);
    }));

  test("micro-batches that do not fit are refused", () =>
    withEngine({}, async (engine) => {
      const out = new Float32Array(engine.vectorLength);
      const batch = microBatch(0);
      await assert.rejects(engine.gradient({ ...batch, samples: 9 }, out), /1 to 8 are possible/);
      await assert.rejects(engine.gradient({ ...batch, pixels: new Uint8Array(5) }, out), /pixels has 5 elements/);
      await assert.rejects(engine.gradient(batch, out.subarray(1)), /out has/);
      await assert.rejects(engine.gradient({ ...batch, labels: new Int32Array(8).fill(4) }, out), /label 4/);
    }));
});

describe("the end of an engine", () => {
  test("a thread that dies is one error for every call in flight and every later one", async () => {
    const workers: Worker[] = [];
    const remember = (worker: Worker) => workers.push(worker);
    process.on("worker", remember);
    const engine = await openEngine(options());
    process.off("worker", remember);
    engine.load(parameters, statistics);
    await engine.warm({ training: [8], evaluation: [8] });
    const running = Array.from({ length: 12 }, (_, index) => engine.evaluate(microBatch(index)));
    const settled = Promise.allSettled(running);
    await Promise.resolve();
    workers[0]?.postMessage({ type: "run" }); // no order: a mistake that ends the thread
    const outcomes = await settled;
    const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as Error] : []));
    assert.ok(errors.length > 0);
    for (const error of errors) assert.match(error.message, /^an engine thread failed: /);
    await assert.rejects(engine.evaluate(microBatch(0)), /^Error: an engine thread failed: /);
    await engine.close();
  });

  test("a thread that ends by itself is an error too", async () => {
    const workers: Worker[] = [];
    const remember = (worker: Worker) => workers.push(worker);
    process.on("worker", remember);
    const engine = await openEngine(options());
    process.off("worker", remember);
    engine.load(parameters, statistics);
    await workers[0]?.terminate();
    await assert.rejects(
      engine.evaluate(microBatch(0)),
      /^Error: an engine thread ended unexpectedly \(exit code 1\)$/,
    );
    await engine.close();
  });

  test("closing fails what is in flight, and closing again is nothing", async () => {
    const engine = await openEngine(options());
    engine.load(parameters, statistics);
    await engine.warm({ training: [], evaluation: [8] });
    const running = Promise.allSettled([engine.evaluate(microBatch(0)), engine.evaluate(microBatch(1))]);
    await Promise.resolve();
    await engine.close();
    for (const outcome of await running) {
      assert.equal(outcome.status, "rejected");
      assert.match(String(outcome.reason), /the engine is closed/);
    }
    await engine.close();
  });

  test("neither a closed nor a forgotten engine keeps the process alive", () => {
    const engineModule = JSON.stringify(new URL("../engine.js", import.meta.url).href);
    for (const end of ["await engine.close();", ""]) {
      const script = `
        import { openEngine } from ${engineModule};
        import { buildNetwork, layoutOf } from "@lockstep/model";
        const network = buildNetwork({ architecture: "simple-cnn", parameters: {} }, { channels: 1, height: 8, width: 8 }, 3);
        const layout = layoutOf(network);
        const engine = await openEngine({ network, layout, normalize: { mean: [0.5], std: [0.5] }, seed: 1, microBatchSamples: 2, threads: 2, lanesMax: 2 });
        engine.load(new Float32Array(layout.parameterCount), new Float32Array(0));
        const { loss } = await engine.evaluate({ position: 1, microBatch: 0, samples: 2, pixels: new Uint8Array(128), labels: new Int32Array(2) });
        ${end}
        console.log(loss);`;
      const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
        cwd: fileURLToPath(new URL("../../", import.meta.url)),
        encoding: "utf8",
        timeout: 60_000,
      });
      assert.equal(status, 0, stderr);
      assert.ok(Math.abs(Number(stdout) - 2 * Math.log(3)) < 1e-5, stdout);
    }
  });

  test("a process that exits while lanes compute ends with its own exit code", () => {
    const script = `
      import { openEngine } from ${JSON.stringify(new URL("../engine.js", import.meta.url).href)};
      import { buildNetwork, layoutOf } from "@lockstep/model";
      const network = buildNetwork({ architecture: "simple-cnn", parameters: {} }, { channels: 3, height: 64, width: 64 }, 10);
      const layout = layoutOf(network);
      const normalize = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
      const engine = await openEngine({ network, layout, normalize, seed: 1, microBatchSamples: 16, threads: 2, lanesMax: 2 });
      engine.load(new Float32Array(layout.parameterCount), new Float32Array(0));
      await engine.warm({ training: [16], evaluation: [] });
      for (let microBatch = 0; microBatch < 50; microBatch++) {
        const batch = { position: 1, microBatch, samples: 16, pixels: new Uint8Array(16 * 12288), labels: new Int32Array(16) };
        void engine.gradient(batch, new Float32Array(layout.parameterCount));
      }
      setTimeout(() => process.exit(7), 20);`;
    for (let time = 0; time < 4; time++) {
      const { status, signal, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
        cwd: fileURLToPath(new URL("../../", import.meta.url)),
        encoding: "utf8",
        timeout: 60_000,
      });
      assert.deepEqual({ status, signal }, { status: 7, signal: null }, stderr);
    }
  });

  test("an installation without onnxruntime-node says so in one sentence", () => {
    const folder = mkdtempSync(join(tmpdir(), "lockstep-engine-"));
    try {
      // A copy of this package that finds its siblings, but no onnxruntime-node.
      const packages = fileURLToPath(new URL("../../../", import.meta.url));
      cpSync(join(packages, "engine/dist"), join(folder, "dist"), { recursive: true });
      writeFileSync(join(folder, "package.json"), '{"type":"module"}');
      mkdirSync(join(folder, "node_modules/@lockstep"), { recursive: true });
      for (const name of ["graph", "model", "random", "spec"]) {
        symlinkSync(realpathSync(join(packages, name)), join(folder, "node_modules/@lockstep", name), "dir");
      }
      const script = `
        import { openEngine } from "./dist/index.js";
        import { buildNetwork, layoutOf } from "@lockstep/model";
        const network = buildNetwork({ architecture: "simple-cnn", parameters: {} }, { channels: 1, height: 8, width: 8 }, 3);
        const options = { network, layout: layoutOf(network), normalize: { mean: [0.5], std: [0.5] }, seed: 1, microBatchSamples: 2, threads: 1, lanesMax: 1 };
        await openEngine(options).catch((error) => console.log(error.name + ": " + error.message));`;
      const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
        cwd: folder,
        encoding: "utf8",
        timeout: 60_000,
      });
      assert.match(
        stdout,
        /^InputError: engine onnxruntime: found onnxruntime-node, which cannot be loaded here \(.*\); allowed: .*npm ci.*\n$/,
        stderr,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
