/**
 * Whole runs for tests: `lockstep train` as a process, with its events, and every process under it. Nothing here sleeps for a
 * fixed time: tests wait for events, and for processes to be gone.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const commandLine = fileURLToPath(new URL("../../packages/cli/dist/main.js", import.meta.url));

/** One line of `--json`. */
export type Event = { readonly type: string } & Readonly<Record<string, unknown>>;

export interface Ending {
  /** Null where a signal ended it. */
  readonly exitCode: number | null;
  readonly events: readonly Event[];
  /** The last event of that type. */
  last(type: string): Event | undefined;
  readonly standardError: string;
}

export interface Training {
  readonly pid: number;
  /** Resolves with the first event that fits, past ones included; rejects when the run ends without one. */
  event(fits: (event: Event) => boolean): Promise<Event>;
  /** Ctrl-C: SIGINT to every process of the terminal's group. */
  interrupt(): void;
  /** `kill -9` of the command alone. */
  kill(): void;
  readonly ended: Promise<Ending>;
}

export interface TrainOptions {
  /** Where `runs/` is made. */
  readonly cwd: string;
  /** The dataset, and flags. */
  readonly flags: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** A folder that is gone after the test: `test(..., async (t) => { const folder = await temporaryFolder(t) })`. */
export async function temporaryFolder(context: { after(clean: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lockstep-"));
  context.after(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Writes a job spec as JSON for `--spec`; gives its path. */
export async function writeSpec(folder: string, name: string, spec: object): Promise<string> {
  const path = join(folder, `${name}.json`);
  await writeFile(path, JSON.stringify(spec));
  return path;
}

/** Starts `lockstep train <flags> --json`. */
export function startTraining(options: TrainOptions): Training {
  const child = spawn(process.execPath, [commandLine, "train", ...options.flags, "--json"], {
    cwd: options.cwd,
    env: { ...process.env, ...options.environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a process group of its own, as a terminal gives it
  });
  const pid = child.pid as number;
  const events: Event[] = [];
  const watchers = new Set<() => void>();
  let standardError = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (standardError += text));
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    events.push(JSON.parse(line) as Event);
    for (const watcher of watchers) watcher();
  });
  const ended = Promise.all([once(child, "close"), once(lines, "close")]).then(([[exitCode]]): Ending => {
    const last = (type: string) => events.findLast((event) => event.type === type);
    return { exitCode: exitCode as number | null, events, last, standardError };
  });
  return {
    pid,
    interrupt: () => process.kill(-pid, "SIGINT"),
    kill: () => child.kill("SIGKILL"),
    ended,
    event: (fits) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = events.find(fits);
          if (found === undefined) return;
          watchers.delete(look);
          resolve(found);
        };
        watchers.add(look);
        look();
        void ended.then(() => reject(new Error(`the run ended without the event\n${tail(events, standardError)}`)));
      }),
  };
}

/** Runs `lockstep train` to its end. @throws where it does not end well */
export async function train(options: TrainOptions): Promise<Ending> {
  const ending = await startTraining(options).ended;
  if (ending.exitCode !== 0) {
    throw new Error(
      `lockstep train ${options.flags.join(" ")} ended with ${ending.exitCode}\n${tail(ending.events, ending.standardError)}`,
    );
  }
  return ending;
}

function tail(events: readonly Event[], standardError: string): string {
  return `${events
    .slice(-5)
    .map((event) => JSON.stringify(event))
    .join("\n")}\n${standardError.slice(-4000)}`;
}

/** Every living process below `pid`, itself not included. */
export async function descendants(pid: number): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const [child, parent] of await processTable()) children.set(parent, [...(children.get(parent) ?? []), child]);
  const found: number[] = [];
  const walk = (parent: number) => {
    for (const child of children.get(parent) ?? []) {
      found.push(child);
      walk(child);
    }
  };
  walk(pid);
  return found;
}

/** Waits until none of these processes lives. @throws after `withinMs`, naming those that still do */
export async function gone(pids: readonly number[], withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const living = (await Promise.all(pids.map(describe))).filter((text) => text !== undefined);
    if (living.length === 0) return;
    if (Date.now() > deadline) throw new Error(`still running after ${withinMs} ms:\n${living.join("\n")}`);
    await delay(50);
  }
}

/** The command line of a living process; undefined for one that is gone, or dead and not yet waited for. */
export async function describe(pid: number): Promise<string | undefined> {
  const table = await processTable();
  if (!table.has(pid)) return undefined;
  if (!existsSync("/proc/self")) return String(pid);
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return text === "" ? undefined : `${pid} ${text.replaceAll("\0", " ")}`;
}

/** Parent of every process. Linux has it in /proc, which smaller images have even where they lack `ps`. */
async function processTable(): Promise<Map<number, number>> {
  const table = new Map<number, number>();
  if (existsSync("/proc/self")) {
    for (const name of await readdir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const status = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
      const parent = /^\d+ \(.*\) \S (\d+)/s.exec(status)?.[1];
      if (parent !== undefined) table.set(Number(name), Number(parent));
    }
    return table;
  }
  const list = spawn("ps", ["-A", "-o", "pid=,ppid="], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: list.stdout })) {
    const [pid, parent] = line.trim().split(/\s+/).map(Number);
    if (pid !== undefined && parent !== undefined) table.set(pid, parent);
  }
  return table;
}
