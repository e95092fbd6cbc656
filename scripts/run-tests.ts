// `npm test`: every compiled test, the quick ones first. Node 20 finds no tests by pattern, so that they are found here.
//
//   node scripts/dist/run-tests.js [--unit | --end-to-end] [--rewrite] [part of a path ...]
//
// --unit: packages and services alone. --rewrite: golden files are written anew instead of compared.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

function testsUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.js"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => path.split("/").includes("dist") && !path.includes("node_modules"))
    .toSorted();
}

interface Stage {
  readonly name: string;
  readonly files: readonly string[];
  readonly concurrency: number;
  /**
   * What takes longer has failed, in seconds: a file on Node 20 and 22, a test on Node 24. Far above what it takes on two busy
   * cores, so that only what hangs ends here.
   */
  readonly secondsMax: number;
}

/** Each stage runs after the one before has passed: a broken unit is reported before a cluster that stands on it. */
function stages(): Stage[] {
  const unit = [...testsUnder("packages"), ...testsUnder("services"), ...testsUnder("examples")];
  const crossing = testsUnder("tests");
  const tiny = crossing.filter((path) => path.endsWith("/tiny.test.js"));
  const containers = crossing.filter((path) => path.includes("/containers/"));
  const endToEnd = crossing.filter((path) => !tiny.includes(path) && !containers.includes(path));
  // Whole clusters share the cores: one file at a time.
  return [
    { name: "unit", files: unit, concurrency: 2, secondsMax: 300 },
    { name: "tiny", files: tiny, concurrency: 1, secondsMax: 300 },
    { name: "end-to-end", files: endToEnd, concurrency: 1, secondsMax: 1200 },
    { name: "containers", files: containers, concurrency: 1, secondsMax: 3600 },
  ];
}

function run({ files, concurrency, secondsMax }: Stage, rewrite: boolean): Promise<number> {
  const options = [`--test-concurrency=${concurrency}`, `--test-timeout=${secondsMax * 1000}`];
  const child = spawn(process.execPath, ["--test", "--test-reporter=spec", ...options, ...files], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...(rewrite ? { LOCKSTEP_REWRITE: "1" } : {}) },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

async function main(): Promise<number> {
  const given = process.argv.slice(2);
  const wanted = given.filter((word) => !word.startsWith("--"));
  const unknown = given.find(
    (word) => word.startsWith("--") && !["--unit", "--end-to-end", "--rewrite"].includes(word),
  );
  if (unknown !== undefined) {
    console.error(`${unknown} is not known; allowed: --unit, --end-to-end, --rewrite, parts of test paths`);
    return 2;
  }
  let found = 0;
  for (const stage of stages()) {
    if (given.includes("--unit") && stage.name !== "unit") continue;
    if (given.includes("--end-to-end") && stage.name === "unit") continue;
    const files = stage.files.filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)));
    if (files.length === 0) continue;
    found += files.length;
    console.log(`\n# ${stage.name}: ${files.length} test files`);
    const code = await run({ ...stage, files }, given.includes("--rewrite"));
    if (code !== 0) return code;
  }
  if (found > 0) return 0;
  console.error("no test was found: run `npm run build` first, or check the path given");
  return 1;
}

process.exitCode = await main();
