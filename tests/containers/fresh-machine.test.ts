/**
 * What a new user does, on a machine that has Node and nothing else: the README's first command, then unit tests by its second.
 * The machine is a container of a stock image; the files are those of a clone, so nothing built here comes along.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { cpSync, readFileSync, rmSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const image = "node:22-bookworm-slim";
/** Installing, building and training on two slow cores. */
const commandMsMax = 15 * 60_000;

/** Why there is nothing to test with; undefined where there is a container engine with the image. */
function missing(): string | undefined {
  if (spawnSync("docker", ["info"], { stdio: "ignore" }).status !== 0) return "no container engine (docker info fails)";
  if (spawnSync("docker", ["image", "inspect", image], { stdio: "ignore" }).status === 0) return undefined;
  return spawnSync("docker", ["pull", image], { stdio: "ignore" }).status === 0 ? undefined : `no image ${image}`;
}

/** The files of a clone: what version control does not keep is left behind. */
function copyOfClone(): string {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-clone-"));
  const builtNames = new Set(["node_modules", "dist", ".git", "__pycache__"]);
  const builtPaths = new Set(["runs", join("examples", "shapes")]);
  const filter = (path: string) =>
    !builtNames.has(basename(path)) && !builtPaths.has(relative(root, path)) && !path.endsWith(".tsbuildinfo");
  cpSync(root, folder, { recursive: true, filter });
  return folder;
}

function docker(...words: string[]): string {
  const run = spawnSync("docker", words, { encoding: "utf8", maxBuffer: 16 * 1024 * 1024 });
  assert.equal(run.status, 0, `docker ${words[0]}: ${run.stderr}`);
  return run.stdout.trim();
}

interface Ending {
  readonly exitCode: number | null;
  readonly output: string;
}

/** Runs a shell command in the container, without a terminal. */
async function inContainer(container: string, command: string): Promise<Ending> {
  const child = spawn("docker", ["exec", container, "sh", "-c", command], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { exitCode, output };
}

/** The commands of the README's blocks of shell, in order. */
function commandsOfReadme(): string[] {
  return [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^```sh\n([\s\S]*?)^```/gm)]
    .flatMap(([, block = ""]) => block.split("\n"))
    .map((line) => line.replace(/\s+#.*$/, "").trim())
    .filter((line) => line !== "");
}

const fault = missing();
if (fault !== undefined) console.error(`\nSKIPPED: the fresh machine is not tested: ${fault}\n`);

describe("on a machine with Node and npm alone", { skip: fault ?? false, timeout: 2 * commandMsMax }, () => {
  let container = "";
  before(() => {
    const clone = copyOfClone();
    container = docker("create", "--workdir", "/home/lockstep", image, "sleep", "infinity");
    docker("cp", `${clone}/.`, `${container}:/home/lockstep`);
    docker("start", container);
    rmSync(clone, { recursive: true });
  });
  after(() => {
    if (container !== "") docker("rm", "--force", container);
  });

  test("there is neither compiler nor Python", async () => {
    const { output } = await inContainer(container, "command -v cc gcc g++ make python python3; true");
    assert.equal(output, "");
  });

  test(
    "the README's first command installs, builds, trains and names the files",
    { timeout: commandMsMax },
    async () => {
      const [first = ""] = commandsOfReadme();
      assert.equal(first, "npm ci && npm start");
      const { exitCode, output } = await inContainer(container, first);
      assert.equal(exitCode, 0, output.slice(-4_000));
      for (const file of ["model.onnx", "checkpoint.safetensors", "metrics.jsonl", "spec.yaml"])
        assert.ok(output.includes(file), `${file} is not named:\n${output.slice(-4_000)}`);
      const listing = await inContainer(container, "ls runs/*/model.onnx");
      assert.equal(listing.exitCode, 0, listing.output);
      assert.ok(
        Number(/test ([\d.]+)%/.exec(output)?.[1]) > 80,
        `the classifier learned little:\n${output.slice(-2_000)}`,
      );
    },
  );

  test("the README's second command passes, unit tests alone", { timeout: commandMsMax }, async () => {
    const second = commandsOfReadme()[1] ?? "";
    assert.equal(second, "npm test");
    const { exitCode, output } = await inContainer(container, `${second} -- --unit`);
    assert.equal(exitCode, 0, output.slice(-6_000));
    assert.match(output, /pass \d{2,}/);
  });
});
