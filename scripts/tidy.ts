// The rules of the house that no compiler or linter knows, over the source text: who may import whom, what may not be called
// where, how long a file may be. Part of `npm run check`. Every finding names the replacement.

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Our own packages that each may import: the only place that holds this table. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "packages/random": [],
  "packages/spec": [],
  "packages/telemetry": [],
  "packages/rpc": ["spec"],
  "packages/protocol": ["random"],
  "packages/collective": ["rpc", "protocol"],
  "packages/dataset": ["spec", "random"],
  "packages/graph": [],
  "packages/model": ["spec", "random"],
  "packages/engine": ["spec", "model", "graph", "random"],
  "packages/client": ["rpc", "spec"],
  "packages/cli": ["client", "spec", "dataset", "model", "engine"],
  "services/coordinator": ["spec", "random", "rpc", "telemetry", "protocol", "dataset", "model"],
  "services/worker": ["spec", "random", "rpc", "telemetry", "protocol", "collective", "model", "engine"],
  "services/data-shard": ["spec", "rpc", "telemetry", "protocol", "dataset"],
};

/** No dependency and nothing of Node's: state in, state out. */
const pure = ["packages/random", "packages/protocol", "packages/graph"];

/** The one file each that may import a heavy library, so that it stays out of everyone else's process. */
const soleImporters: Readonly<Record<string, string>> = {
  sharp: "packages/dataset/src/pixels/decode.ts",
  "onnxruntime-node": "packages/engine/src/onnx/session.ts",
  libsql: "services/coordinator/src/store/database.ts",
  yaml: "packages/spec/src",
  "@grpc/grpc-js": "packages/rpc/src",
};

interface Ban {
  readonly pattern: RegExp;
  readonly folders: readonly string[];
  readonly instead: string;
}

const deterministic = ["random", "protocol", "collective", "dataset", "graph", "model", "engine"].map(
  (name) => `packages/${name}/`,
);

const bans: readonly Ban[] = [
  { pattern: /\bMath\.random\b/, folders: deterministic, instead: "draws of @lockstep/random, keyed" },
  {
    pattern: /\bDate\.now\b|\bnew Date\b|\bperformance\.now\b/,
    folders: deterministic,
    instead: "time as an argument, measured by the service",
  },
  {
    pattern: /\bMath\.(?:sin|cos|tan|asin|acos|atan|atan2|exp|expm1|log|log2|log10|log1p|pow|tanh|cbrt|hypot)\b/,
    folders: deterministic,
    instead: "+ - * / sqrt: V8 gives other bits on other builds",
  },
  {
    pattern: /\bworldSize\b|\brank\b/,
    folders: ["dataset", "graph", "model", "engine"].map((name) => `packages/${name}/`),
    instead: "micro-batches: no weight may depend on the cluster",
  },
  { pattern: /@ts-(?:ignore|nocheck|expect-error)/, folders: [""], instead: "a type that holds" },
  {
    pattern: /\b(?:mini-?batch|worker node|replica|quorum|epoch step)\b/i,
    folders: [""],
    instead: "DESIGN's word: micro-batch, worker, member, generation, step",
  },
];

const linesMax = 400;
const findings: string[] = [];

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !/(?:^|\/)(?:dist|node_modules|gen)\//.test(path))
    .toSorted();
}

function checkImports(path: string, text: string): void {
  const place = /^(?:packages|services)\/[^/]+/.exec(path)?.[0];
  const isTest = path.endsWith(".test.ts");
  for (const found of text.matchAll(/(?:from|import)\s*\(?\s*"([^".][^"]*)"/g)) {
    const target = found[1] ?? "";
    const owner = soleImporters[target];
    if (owner !== undefined && !path.startsWith(owner) && !isTest && place !== undefined)
      findings.push(`${path}: imports ${target}; only ${owner} does: go through its package`);
    if (place === undefined || isTest) continue;
    const ours = /^@lockstep\/([^/]+)/.exec(target)?.[1];
    if (ours !== undefined && place !== `packages/${ours}` && !(mayImport[place] ?? []).includes(ours))
      findings.push(`${path}: imports @lockstep/${ours}; allowed: ${(mayImport[place] ?? []).join(", ") || "nothing"}`);
    if (ours === undefined && pure.includes(place) && !path.includes("/simulator/"))
      findings.push(`${path}: imports ${target}; this package is pure: hand the value in as an argument`);
  }
  if (place !== undefined && /from "(?:\.\.\/)+(?:packages|services)\//.test(text))
    findings.push(`${path}: reaches into another package by path; import its name, @lockstep/…`);
}

function checkText(path: string, text: string): void {
  const lines = text.split("\n");
  if (lines.length - 1 > linesMax)
    findings.push(`${path}: ${lines.length - 1} lines, at most ${linesMax}: one subject a file, so make two`);
  if (path === "scripts/tidy.ts") return;
  for (const ban of bans) {
    if (!ban.folders.some((folder) => path.startsWith(folder)) || path.endsWith(".test.ts")) continue;
    const line = lines.findIndex((each) => ban.pattern.test(each) && !/^\s*(?:\/\/|\*|\/\*)/.test(each));
    if (line >= 0)
      findings.push(`${path}:${line + 1}: ${ban.pattern.exec(lines[line] ?? "")?.[0]}; instead: ${ban.instead}`);
  }
}

/** What package.json and tsconfig.json say must be the table's rows too. */
function checkManifest(place: string, allowed: readonly string[]): void {
  const manifest = JSON.parse(readFileSync(join(root, place, "package.json"), "utf8")) as {
    dependencies?: Record<string, string>;
  };
  const settings = JSON.parse(readFileSync(join(root, place, "tsconfig.json"), "utf8")) as {
    references?: { path: string }[];
  };
  const declared = Object.keys(manifest.dependencies ?? {})
    .filter((name) => name.startsWith("@lockstep/"))
    .map((name) => name.slice("@lockstep/".length));
  const referenced = (settings.references ?? []).map((reference) => reference.path.split("/").at(-1) ?? "");
  for (const name of declared.filter((each) => !allowed.includes(each)))
    findings.push(`${place}/package.json: depends on @lockstep/${name}; allowed: ${allowed.join(", ") || "nothing"}`);
  for (const name of declared.filter((each) => !referenced.includes(each)))
    findings.push(`${place}/tsconfig.json: does not refer to ${name}, on which package.json depends: add it`);
}

for (const folder of ["packages", "services", "scripts", "tests", "bench", "examples"]) {
  for (const path of sources(folder)) {
    const text = readFileSync(join(root, path), "utf8");
    checkImports(path, text);
    checkText(path, text);
  }
}
for (const [place, allowed] of Object.entries(mayImport)) checkManifest(place, allowed);

for (const finding of findings) console.error(finding);
console.log(findings.length === 0 ? "tidy" : `${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;
