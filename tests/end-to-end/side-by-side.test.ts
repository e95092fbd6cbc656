/** Commands that train in one folder at the same time do not know of one another. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
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
