import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Store } from "./database.js";

test("each opening of a store raises the incarnation, so that no generation's number comes twice", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const incarnations = [1, 2, 3].map(() => {
    const store = new Store(join(folder, "coordinator.sqlite"));
    const { incarnation } = store;
    store.close();
    return incarnation;
  });
  assert.deepEqual(incarnations, [1, 2, 3]);
});
