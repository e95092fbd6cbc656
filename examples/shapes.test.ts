import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSource } from "@lockstep/dataset";
import { drawShapes } from "./shapes.js";

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-shapes-"));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function digestOf(folder: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort()) hash.update(readFileSync(path));
  return hash.digest("hex");
}

test("the demo set is a dataset of class folders with JPEG and PNG files; a seed draws it alike every time", async () => {
  await withFolder(async (folder) => {
    assert.equal(await drawShapes({ folder: join(folder, "1"), seed: 1, imagesPerClass: 6 }), "drawn");
    await drawShapes({ folder: join(folder, "again"), seed: 1, imagesPerClass: 6 });
    await drawShapes({ folder: join(folder, "2"), seed: 2, imagesPerClass: 6 });
    assert.equal(digestOf(join(folder, "1")), digestOf(join(folder, "again")));
    const images = (seed: string) => digestOf(join(folder, seed, "star"));
    assert.notEqual(images("1"), images("2"));
    const source = await openSource(join(folder, "1"));
    assert.ok(source.classes.length >= 8);
    assert.equal(source.labels.length, 6 * source.classes.length);
    const suffixes = new Set(source.files.map((file) => file.path.slice(-4)));
    assert.deepEqual([...suffixes].sort(), [".jpg", ".png"]);
  });
});

test("a whole set is left alone, a damaged one is drawn again", async () => {
  await withFolder(async (folder) => {
    const options = { folder, seed: 1, imagesPerClass: 2 };
    await drawShapes(options);
    const digest = digestOf(folder);
    assert.equal(await drawShapes(options), "there");
    rmSync(join(folder, "ring"), { recursive: true });
    assert.equal(await drawShapes(options), "drawn");
    assert.equal(digestOf(folder), digest);
  });
});
