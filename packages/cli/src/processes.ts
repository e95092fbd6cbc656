/**
 * The coordinator as a child of this command. It holds the read end of a pipe whose write end dies with us, whatever way we
 * end, and leaves when it closes: no orphan, `kill -9` included.
 */
import { coordinatorKillMs } from "@lockstep/client";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { CommandFailure, exitCodes } from "./exit-codes.js";

/** Time for the coordinator to open its store and listen; slow disks and loaded machines included. */
const startMsMax = 60_000;
/** Last lines of its standard error that are kept for an error's sentence. */
const linesKept = 40;

export interface CoordinatorOptions {
  /** Absolute. Its store is there too. */
  readonly runsFolder: string;
  readonly listen?: string | undefined;
  readonly advertise?: string | undefined;
}

export interface RunningCoordinator {
  readonly address: string;
  /** Resolves with a sentence when the process is gone, whoever ended it. */
  readonly gone: Promise<string>;
  /** Asks it and its children to end and waits until they have; by force after a while. */
  stop(): Promise<void>;
  /** Ends it by force, at once. Its children see their pipes close. */
  kill(): void;
}

/** @throws CommandFailure (could not start) with its last words */
export async function startCoordinator(options: CoordinatorOptions): Promise<RunningCoordinator> {
  const child = spawn(process.execPath, [coordinatorProgram(), ...coordinatorFlags(options)], {
    stdio: ["pipe", "pipe", "pipe"],
    // A process group of its own: Ctrl-C in the terminal reaches this command only, which then ends the job in order.
    detached: true,
  });
  child.stdin.on("error", () => undefined); // the pipe is only there to be closed
  const lastLines = keepLastLines(child.stderr);
  const gone = once(child, "close").then(([code, signal]) => {
    const how = signal === null ? `exit code ${String(code)}` : `signal ${String(signal)}`;
    return [`the coordinator ended with ${how}`, ...causesAmong(lastLines).slice(-3)].join(": ");
  });
  try {
    const address = await addressOf(child, gone, lastLines);
    return { address, gone, stop: () => stop(child, gone), kill: () => void child.kill("SIGKILL") };
  } catch (thrown) {
    child.kill("SIGKILL");
    throw thrown;
  }
}

function coordinatorProgram(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve("@lockstep/coordinator/package.json");
    return join(dirname(manifest), "dist", "main.js");
  } catch (cause) {
    throw new CommandFailure(
      "the coordinator is not installed beside this command; run `npm ci && npm run build` in Lockstep's folder",
      exitCodes.couldNotStart,
      cause,
    );
  }
}

function coordinatorFlags(options: CoordinatorOptions): string[] {
  const { listen = "127.0.0.1:0", advertise, runsFolder } = options;
  return [
    `--listen=${listen}`,
    ...(advertise === undefined ? [] : [`--advertise=${advertise}`]),
    `--runs-folder=${runsFolder}`,
    "--exit-with-parent",
  ];
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** The address of its first line, {"type":"listening","address":"127.0.0.1:41234"}. */
async function addressOf(child: Child, gone: Promise<string>, lastLines: readonly string[]): Promise<string> {
  const lines = createInterface({ input: child.stdout });
  const first = once(lines, "line").then(([line]) => String(line));
  const failed = once(child, "error").then(([error]) => `it could not be started (${(error as Error).message})`);
  const timeout = new AbortController();
  const late = new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve(`it did not listen within ${startMsMax / 1000} seconds`), startMsMax);
    timeout.signal.addEventListener("abort", () => clearTimeout(timer));
  });
  try {
    const fault = Promise.race([gone.then(() => endSentence(lastLines)), failed, late]);
    const line = await Promise.race([first, fault.then(startFailure)]);
    const message = JSON.parse(line) as { readonly type?: unknown; readonly address?: unknown };
    if (message.type === "listening" && typeof message.address === "string") return message.address;
    throw startFailure(`its first line was no address: ${line.slice(0, 200)}`);
  } finally {
    timeout.abort();
    child.stdout.resume();
  }
}

function startFailure(reason: string): never {
  throw new CommandFailure(`the coordinator did not start: ${reason}`, exitCodes.couldNotStart);
}

function endSentence(lastLines: readonly string[]): string {
  return lastLines.length === 0 ? "it ended without a word" : lastLines.slice(-3).join(" | ");
}

function keepLastLines(stream: Readable): readonly string[] {
  const kept: string[] = [];
  const debug = process.env["LOCKSTEP_DEBUG"] === "1";
  createInterface({ input: stream }).on("line", (line) => {
    if (debug) process.stderr.write(`${line}\n`);
    if (line.trim() === "") return;
    kept.push(line.slice(0, 500));
    if (kept.length > linesKept) kept.shift();
  });
  return kept;
}

/** Without what its log says of its ordinary work, which would read as the cause of its end: "12:34:56.789 info  ...". */
function causesAmong(lines: readonly string[]): string[] {
  return lines.filter((line) => !/^\S+ +(?:trace|debug|info) /.test(line));
}

async function stop(child: Child, gone: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.stdin.end();
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), coordinatorKillMs);
  await gone;
  clearTimeout(force);
}
