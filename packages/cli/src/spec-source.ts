/** A command's job spec: the file of --spec, the dataset beside the flags, and flags laid over both. */
import { InputError, type JobSpec, parseJobSpec, parseSpecText, specBytesMax } from "@lockstep/spec";
import { open } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { Arguments } from "./arguments.js";
import { type Fields, specFlags } from "./flags.js";

export interface SpecSource {
  readonly spec: JobSpec;
  /** Begins errors about fields: "job.yaml", or "command line". */
  readonly origin: string;
}

/** @throws InputError */
export async function readSpec(command: string, given: Arguments): Promise<SpecSource> {
  const file = given.flags.get("spec");
  const [dataset, ...rest] = given.positionals;
  if (rest.length > 0) {
    const found = `${given.positionals.length} folders`;
    throw new InputError({ where: command, found, allowed: "one dataset folder" });
  }
  if (dataset === undefined && file === undefined) {
    const allowed = `lockstep ${command} DIR or lockstep ${command} --spec FILE`;
    throw new InputError({ where: command, found: "no dataset", allowed });
  }
  const origin = file === undefined ? "command line" : basename(file);
  const fields = file === undefined ? {} : structuredClone(parseSpecText(await readSpecFile(file), origin));
  const fieldOrigins = new Map<string, string>();
  if (dataset !== undefined) lay(fields, [["dataset.path", resolve(dataset)]], "dataset", fieldOrigins);
  for (const flag of specFlags) {
    const value = given.flags.get(flag.name);
    if (value !== undefined) lay(fields, flag.fields(value), `--${flag.name}`, fieldOrigins);
  }
  const baseFolder = file === undefined ? process.cwd() : resolve(dirname(file));
  return { spec: parseJobSpec(fields, { origin, baseFolder, fieldOrigins }), origin };
}

/** A field that short forms may stand for: "optimizer: adam" is {name: adam}. */
const longForms: Readonly<Record<string, string>> = { dataset: "path", optimizer: "name" };

function lay(spec: Record<string, unknown>, fields: Fields, origin: string, origins: Map<string, string>): void {
  for (const [path, value] of fields) {
    const keys = path.split(".");
    const last = keys.pop() as string;
    let section = spec;
    for (const key of keys) {
      const below = section[key];
      const long = longForms[key];
      if (typeof below === "string" && long !== undefined) section[key] = { [long]: below };
      else if (typeof below !== "object" || below === null || Array.isArray(below)) section[key] = {};
      section = section[key] as Record<string, unknown>;
    }
    section[last] = value;
    origins.set(path, origin);
  }
}

async function readSpecFile(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      // Read no further than what the parser would refuse.
      const buffer = Buffer.alloc(specBytesMax + 1);
      let bytes = 0;
      for (;;) {
        const { bytesRead } = await file.read(buffer, bytes, buffer.length - bytes);
        bytes += bytesRead;
        if (bytesRead === 0) return buffer.toString("utf8", 0, bytes);
      }
    } finally {
      await file.close();
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const found = code === "ENOENT" ? "no such file" : code === "EISDIR" ? "a folder" : (cause as Error).message;
    throw new InputError({ where: `--spec ${path}`, found, allowed: "a readable YAML or JSON file", cause });
  }
}
