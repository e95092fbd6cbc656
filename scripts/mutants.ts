// `npm run mutants`: tests of the tests. Each mutant is one fault put into a copy of the compiled code; the test that is named
// beside it must turn red. A mutant that no longer fits the code is a finding too: the table follows the code.
//
//   node scripts/dist/mutants.js [part of a mutant's name ...]

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, mutants } from "./mutant-table.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A mutant that hangs its test is found as well as one that fails it. */
const testMsMax = 120_000;

/** What one test file reports: title of a test to whether it passed. */
interface Report {
  readonly results: ReadonlyMap<string, boolean>;
  readonly hung: boolean;
  readonly output: string;
}

/** The compiled packages and services, and links to what they import. */
function copyOfTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "lockstep-mutants-"));
  for (const folder of ["packages", "services"]) {
    const skipped = ["src", "node_modules"];
    cpSync(join(root, folder), join(copy, folder), {
      recursive: true,
      filter: (path) => !skipped.includes(basename(path)),
    });
  }
  mkdirSync(join(copy, "node_modules", "@lockstep"), { recursive: true });
  for (const name of readdirSync(join(root, "node_modules")).filter((each) => each !== "@lockstep"))
    symlinkSync(join(root, "node_modules", name), join(copy, "node_modules", name));
  for (const folder of ["packages", "services"]) {
    for (const name of readdirSync(join(copy, folder)))
      symlinkSync(join(copy, folder, name), join(copy, "node_modules", "@lockstep", name));
  }
  return copy;
}

function runTest(copy: string, file: string): Report {
  const run = spawnSync(process.execPath, ["--test-reporter=tap", "--test-force-exit", file], {
    cwd: copy,
    encoding: "utf8",
    timeout: testMsMax,
    killSignal: "SIGKILL",
    maxBuffer: 64 * 1024 * 1024,
  });
  const results = new Map<string, boolean>();
  for (const [, verdict, title = ""] of run.stdout.matchAll(/^\s*(ok|not ok) \d+ - (.*)$/gm)) {
    if (/ # (?:SKIP|TODO)\b/.test(title)) continue;
    results.set(title.replace(/\\(.)/g, "$1"), verdict === "ok");
  }
  return { results, hung: run.signal === "SIGKILL", output: `${run.stdout}${run.stderr}`.slice(-2_000) };
}

/** The fault written into `text`; undefined where the code is no longer as the table says. */
function mutated(text: string, mutant: Mutant): string | undefined {
  let result = text;
  for (const { from, to } of mutant.edits) {
    if (result.split(from).length !== 2) return undefined;
    result = result.replace(from, () => to);
  }
  return result;
}

/** What is wrong with the mutant or its test; undefined where the test turns red as it should. */
function faultOf(copy: string, mutant: Mutant): string | undefined {
  const path = join(copy, mutant.file);
  const original = readFileSync(path, "utf8");
  const text = mutated(original, mutant);
  if (text === undefined)
    return `the code of ${mutant.file} has changed: write the mutant anew in scripts/mutant-table.ts`;
  writeFileSync(path, text);
  try {
    const { results, hung, output } = runTest(copy, mutant.test.file);
    if (hung || results.get(mutant.test.title) === false) return undefined;
    if (results.get(mutant.test.title) === true) return "SURVIVED: the test is still green";
    return `the test was not reached:\n${output}`;
  } finally {
    writeFileSync(path, original);
  }
}

/** Why the named test cannot judge; undefined where it is green without a mutant. */
function faultOfTest(copy: string, mutant: Mutant, reports: Map<string, Report>): string | undefined {
  const { file, title } = mutant.test;
  const report = reports.get(file) ?? runTest(copy, file);
  reports.set(file, report);
  if (report.results.get(title) === true) return undefined;
  if (report.results.get(title) === false) return `"${title}" is red without any mutant`;
  return `${file} has no test "${title}"${report.results.size === 0 ? `:\n${report.output}` : ""}`;
}

function main(): number {
  const wanted = process.argv.slice(2);
  const chosen = mutants.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  if (chosen.length === 0) {
    console.error("no mutant has such a name");
    return 2;
  }
  const copy = copyOfTree();
  const reports = new Map<string, Report>();
  let faults = 0;
  try {
    for (const mutant of chosen) {
      const began = performance.now();
      const fault = faultOfTest(copy, mutant, reports) ?? faultOf(copy, mutant);
      if (fault !== undefined) faults += 1;
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      const title = `${basename(mutant.test.file)}: ${mutant.test.title}`;
      console.log(
        `${fault === undefined ? "red  " : "FAULT"}  ${seconds.padStart(5)} s  ${mutant.name}\n                ${fault ?? title}`,
      );
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log(`\n${chosen.length - faults} of ${chosen.length} mutants turn their test red`);
  return faults === 0 ? 0 : 1;
}

process.exitCode = main();
