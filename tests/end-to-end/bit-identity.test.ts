/** The promise: weights are a function of spec, dataset, seed and engine, not of how many processes made them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Ending, temporaryFolder, train, writeSpec } from "../cluster.js";
import { drawImageFolder } from "../images.js";
import { stepLines, workerLogs } from "../worker-logs.js";

const classes = ["ant", "bee", "cat", "dog", "elk", "fox"];
const epochs = 3;

interface Shape {
  readonly workers: number;
  readonly dataShards: number;
}

const shapes: readonly Shape[] = [
  { workers: 1, dataShards: 1 },
  { workers: 2, dataShards: 1 },
  { workers: 3, dataShards: 2 },
  { workers: 4, dataShards: 3 },
];

const convolution = { type: "conv2d", filters: 8, kernel: 3, padding: 1 };
const relu = { type: "relu" };
const pool = [{ type: "max-pool", kernel: 2 }, { type: "flatten" }];
const dense = { type: "dense", units: classes.length };
const plainModel = { layers: [convolution, relu, ...pool, dense] };
const fullModel = {
  layers: [convolution, { type: "batch-norm" }, relu, ...pool, { type: "dropout", rate: 0.25 }, dense],
};
const augmentation = { horizontalFlip: 0.5, randomCropPadding: 2 };

/** 216 training images: batches of 32 leave 24 over, batches of 50 leave 16. */
const eightMicroBatches = { epochs, batchSize: 32, microBatches: 8 };
const fiveMicroBatches = { epochs, batchSize: 50, microBatches: 5 };

interface Recipe {
  readonly model: object;
  readonly training: { readonly epochs: number; readonly batchSize: number; readonly microBatches: number };
  readonly augmentation?: object;
  readonly optimizer?: object;
}

const full = { model: fullModel, training: eightMicroBatches, augmentation };
const recipes: Readonly<Record<string, Recipe>> = {
  "a plain model": { model: plainModel, training: eightMicroBatches, optimizer: { name: "sgd", learningRate: 0.02 } },
  "augmentation, batch-norm and dropout": full,
  "5 micro-batches of 10": { model: fullModel, training: fiveMicroBatches, augmentation },
};

describe("the same weights", () => {
  let folder = "";
  let clean = async () => {};
  after(() => clean());
  before(async () => {
    folder = await temporaryFolder({ after: (cleaning) => (clean = cleaning) });
    await drawImageFolder(join(folder, "animals"), { classes, imagesPerClass: 45 });
  });

  async function run(recipe: Recipe, shape: Shape, name: string, seed = 1): Promise<Ending> {
    const spec = await writeSpec(folder, name, {
      ...recipe,
      seed,
      dataset: { path: join(folder, "animals"), imageSize: { height: 16, width: 16 } },
    });
    const flags = ["--spec", spec, "--name", name, ...shapeFlags(shape)];
    return train({ cwd: folder, flags, environment: { LOCKSTEP_LOG_LEVEL: "debug" } });
  }

  for (const [name, recipe] of Object.entries(recipes)) {
    test(`${name}: on 1, 2, 3 and 4 workers and 1, 2 and 3 data-shards`, async () => {
      const digests = new Set<unknown>();
      const sampleDigests = new Set<unknown>();
      for (const [index, shape] of shapes.entries()) {
        const runName = `${name.replaceAll(/[^a-z0-9]+/g, "-")}-${index}`;
        const ending = await run(recipe, shape, runName);
        const summary = ending.last("summary");
        digests.add(summary?.["parametersSha256"]);
        sampleDigests.add(summary?.["samplesSha256"]);
        assertLossFell(ending);
        await assertEveryWorkerComputed(join(folder, "runs", runName), recipe, shape.workers);
      }
      assert.match(String([...digests][0]), /^[0-9a-f]{64}$/);
      assert.equal(digests.size, 1, [...digests].join("\n"));
      assert.equal(sampleDigests.size, 1, [...sampleDigests].join("\n"));
    });
  }

  test("on a second run, and not with another seed", async () => {
    const shape = { workers: 2, dataShards: 2 };
    const digest = async (name: string, seed: number) =>
      (await run(full, shape, name, seed)).last("summary")?.["parametersSha256"];
    const first = await digest("again-1", 1);
    assert.equal(await digest("again-2", 1), first);
    assert.notEqual(await digest("other-seed", 2), first);
  });
});

function shapeFlags(shape: Shape): string[] {
  return ["--workers", String(shape.workers), "--data-shards", String(shape.dataShards)];
}

function assertLossFell(ending: Ending): void {
  const losses = ending.events.filter((event) => event.type === "epoch").map((event) => event["loss"] as number);
  assert.equal(losses.length, epochs);
  assert.ok((losses.at(-1) as number) < (losses[0] as number), `loss went ${losses.join(", ")}`);
}

/** Each worker's log says at each training position which micro-batches it computed. */
async function assertEveryWorkerComputed(run: string, recipe: Recipe, workers: number): Promise<void> {
  const logs = await workerLogs(run);
  assert.equal(logs.size, workers);
  for (const [file, lines] of logs) {
    const full = stepLines(lines).filter(
      (line) => line.phase === "train" && line.microBatches === recipe.training.microBatches,
    );
    assert.ok(full.length >= epochs, `${file} tells of ${full.length} full steps`);
    assert.ok(
      full.every((line) => line.runs !== "-"),
      `${file}: a full step without a micro-batch`,
    );
  }
}
