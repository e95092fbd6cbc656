// Every conversation in testdata comes out as it is written there. REWRITE=1 (or --rewrite) writes what comes out instead: the
// difference in git is what a reviewer reads.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runScenario } from "./scenario.js";

const folder = fileURLToPath(new URL("../../testdata/", import.meta.url));
const rewrite = process.env["REWRITE"] === "1" || process.argv.includes("--rewrite");

describe("conversations", () => {
  const files = readdirSync(folder).filter((file) => file.endsWith(".txt"));
  assert.ok(files.length > 0, "there are conversations to compare");
  for (const file of files) {
    test(file, () => {
      const written = readFileSync(`${folder}${file}`, "utf8");
      const happened = runScenario(written);
      if (rewrite) writeFileSync(`${folder}${file}`, happened);
      else assert.equal(happened, written);
    });
  }
});
