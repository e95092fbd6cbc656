/** Commands that train in one folder at the same time do not know of one another. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { startTraining, temporaryFolder } from "../cluster.js";
import { drawImageFolder } from "../images.js";

test("two runs at once in one folder both end well, and leave one store each without a journal", async (t) => {
  const folder = await temporaryFolder(t);
  await drawImageFolder(join(folder, "animals"), { classes: ["ant", "bee"], imagesPerClass: 20 });
  const flags = ["animals", "--image-size", "16", "--model", "simple-cnn", "--batch-size", "16", "--name", "twin"];
  const first = startTraining({ cwd: folder, flags: [...flags, "--epochs", "300"] });
  t.after(() => first.kill());
  await first.event((event) => event.type === "epoch");
  const second = startTraining({ cwd: folder, flags: [...flags, "--epochs", "2"] });
  t.after(() => second.kill());
  for (const ending of await Promise.all([first.ended, second.ended])) {
    assert.equal(ending.exitCode, 0, ending.standardError);
  }
  const left = await readdir(join(folder, "runs"));
  assert.deepEqual(left.sort(), ["coordinator-2.sqlite", "coordinator.sqlite", "twin", "twin-2"]);
});

test("two runs of one job that start together have the same weights and metrics", async (t) => {
  const folder = await temporaryFolder(t);
  await drawImageFolder(join(folder, "animals"), { classes: ["ant", "bee", "cat"], imagesPerClass: 20 });
  const flags = "animals --image-size 16 --model simple-cnn --batch-size 16 --epochs 3 --seed 5 --name".split(" ");
  const started = ["first", "second"].map((name) => startTraining({ cwd: folder, flags: [...flags, name] }));
  t.after(() => started.forEach((training) => training.kill()));
  const endings = await Promise.all(started.map(({ ended }) => ended));
  for (const { exitCode, standardError } of endings) assert.equal(exitCode, 0, standardError);
  const [one, other] = endings.map((ending) => ending.last("summary"));
  assert.match(String(one?.["parametersSha256"]), /^[0-9a-f]{64}$/);
  for (const figure of ["parametersSha256", "samplesSha256", "testLoss"])
    assert.equal(one?.[figure], other?.[figure], figure);
  const metricsOf = (name: string) => readFile(join(folder, "runs", name, "metrics.jsonl"), "utf8");
  assert.equal(await metricsOf("first"), await metricsOf("second"));
});
