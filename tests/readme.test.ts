/** What the documents say is so: commands and flags exist, examples of specs are valid, links lead somewhere. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseJobSpec, parseSpecText } from "@lockstep/spec";

const root = fileURLToPath(new URL("../..", import.meta.url));
const commandLine = join(root, "packages/cli/dist/main.js");

interface Document {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
}

const documents: readonly Document[] = [
  "README.md",
  ...readdirSync(join(root, "docs")).map((name) => join("docs", name)),
]
  .filter((path) => path.endsWith(".md"))
  .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

function blocks({ text }: Document, ...languages: string[]): string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)]
    .filter(([, language = ""]) => languages.includes(language))
    .map(([, , content = ""]) => content);
}

/** Commands of shell blocks, continued lines joined, comments and prompts left out. */
function commands(document: Document): string[] {
  return blocks(document, "sh", "bash", "console")
    .flatMap((block) => block.replaceAll("\\\n", " ").split("\n"))
    .map((line) =>
      line
        .replace(/^\$ /, "")
        .replace(/\s+#.*$/, "")
        .trim(),
    )
    .filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap((line) => line.split(/\s*(?:&&|;|\|)\s*/));
}

function run(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  assert.equal(status, 0, `${words.join(" ")}: ${stderr}`);
  return stdout;
}

const flagsIn = (text: string) => [...text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([flag]) => flag);

/** All of the project's own source text, for what documents name. */
const sources = ["packages", "services", "scripts", "tests", "examples"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !/node_modules|dist/.test(entry.parentPath))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8")),
  )
  .join("\n");

/** Commands of `lockstep`, with the flags that each one's help names. */
const flagsOf = new Map(
  [...run(commandLine, "help").matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, name = ""]) => [
    name,
    new Set(flagsIn(run(commandLine, name, "--help"))),
  ]),
);

const scripts = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> })
  .scripts;

function wordsOf(command: string): string[] {
  return command.replace(/^(?:[A-Z_]+=\S+ )+/, "").split(/\s+/);
}

function checkCommand(command: string): void {
  const [program = "", ...words] = wordsOf(command);
  if (program === "npm") checkScript(command, words);
  const lockstep = program === "npx" ? words.slice(1) : words;
  if (program !== "lockstep" && !(program === "npx" && words[0] === "lockstep")) return;
  const [name = ""] = lockstep;
  if (name.startsWith("-")) return;
  const known = flagsOf.get(name);
  assert.ok(known !== undefined, `"${command}": there is no command "${name}"`);
  for (const flag of flagsIn(command)) assert.ok(known.has(flag), `"${command}": lockstep ${name} has no ${flag}`);
}

function checkScript(command: string, [first = "", second = ""]: string[]): void {
  const script = first === "run" ? second : ["start", "test"].includes(first) ? first : undefined;
  if (script !== undefined) assert.ok(script in scripts, `"${command}": package.json has no script "${script}"`);
  else assert.ok(["ci", "install", "i"].includes(first), `"${command}": not a command of npm that is known here`);
}

/** A spec of a document may be a part: only what is wrong in it counts. */
function checkSpec(text: string, origin: string): void {
  const fields = parseSpecText(text, origin);
  parseJobSpec({ dataset: "photos", ...fields }, { origin, baseFolder: root });
}

describe("the README", () => {
  test("begins with the command that installs and runs, then the one that tests", () => {
    const [first, second, third] = commands({ path: "", text: readFileSync(join(root, "README.md"), "utf8") });
    assert.deepEqual([first, second, third], ["npm ci", "npm start", "npm test"]);
  });

  test("shows how to train on one's own folder", () => {
    const readme = documents.find(({ path }) => path === "README.md");
    assert.ok(readme !== undefined && commands(readme).some((command) => /^npx lockstep train \S+/.test(command)));
  });
});

for (const document of documents) {
  describe(document.path, () => {
    test("names commands and flags that exist", () => {
      for (const command of commands(document)) checkCommand(command);
    });

    test("shows specs that parse", () => {
      for (const block of blocks(document, "yaml")) checkSpec(block, document.path);
    });

    test("links to files that exist", () => {
      const prose = document.text.replaceAll(/^```[\s\S]*?^```/gm, "");
      for (const [, target = ""] of prose.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        assert.ok(existsSync(resolve(root, dirname(document.path), target)), `${target} does not exist`);
      }
    });

    test("names environment variables that something reads", () => {
      for (const [name] of document.text.matchAll(/\bLOCKSTEP_[A-Z_]+\b/g))
        assert.ok(sources.includes(name), `nothing reads ${name}`);
    });
  });
}

test("every command has help that says how it is used", () => {
  assert.ok(flagsOf.size >= 4);
  for (const name of flagsOf.keys()) assert.match(run(commandLine, name, "--help"), /^Usage: lockstep /m);
});
