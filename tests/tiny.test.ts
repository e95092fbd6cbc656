/** The smallest whole run, before everything else: 2 workers, 3 steps, every process, every file. */
import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, train } from "./cluster.js";
import { drawImageFolder } from "./images.js";

test("2 workers train 3 steps and leave their files", async (t) => {
  const folder = await temporaryFolder(t);
  await drawImageFolder(join(folder, "animals"), { classes: ["ant", "bee", "cat"], imagesPerClass: 20 });
  const flags = ["animals", "--workers", "2", "--data-shards", "2", "--name", "tiny", "--image-size", "16"];
  const ending = await train({
    cwd: folder,
    flags: [...flags, "--model", "simple-cnn", "--epochs", "1", "--batch-size", "16", "--micro-batches", "4"],
  });
  const summary = ending.last("summary");
  assert.equal(summary?.["steps"], 3);
  assert.match(String(summary?.["parametersSha256"]), /^[0-9a-f]{64}$/);
  assert.equal(typeof summary?.["testAccuracy"], "number");
  for (const file of ["model.onnx", "checkpoint.safetensors", "checkpoint.json", "metrics.jsonl", "spec.yaml"]) {
    const { size } = await stat(join(folder, "runs", "tiny", file));
    assert.ok(size > 0, file);
  }
});
