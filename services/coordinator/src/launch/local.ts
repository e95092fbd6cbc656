// Worker and data-shard processes on this machine. Their standard input is a pipe that this process holds: when this process
// dies, be it by kill -9, the pipe closes and they end.

import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Launched, Launcher, LaunchRequest, ProcessEnd } from "./launcher.js";

/** Of a crashed child's log, told with its error. */
const lastLinesMax = 5;
const lastBytesMax = 8 * 1024;
const lineCharactersMax = 500;

export class LocalLauncher implements Launcher {
  /** Finds a service's main file; services are started as processes, never imported. */
  readonly #mainOf: (service: LaunchRequest["service"]) => string;

  constructor(mainOf: (service: LaunchRequest["service"]) => string = installedMain) {
    this.#mainOf = mainOf;
  }

  launch(request: LaunchRequest): Launched {
    const logPath = join(request.runFolder, "logs", `${request.name}.log`);
    const log = openSync(logPath, "a");
    try {
      const words = [this.#mainOf(request.service), "--coordinator", request.coordinator, "--job", request.job];
      words.push("--name", request.name, "--listen", request.listen, "--exit-with-parent");
      if (request.advertise !== undefined) words.push("--advertise", request.advertise);
      const child = spawn(process.execPath, words, { stdio: ["pipe", log, log], env: environmentOf(request) });
      return { name: request.name, processId: child.pid ?? 0, ...lifeOf(child, logPath) };
    } finally {
      closeSync(log);
    }
  }
}

function installedMain(service: LaunchRequest["service"]): string {
  const manifest = createRequire(import.meta.url).resolve(`@lockstep/${service}/package.json`);
  return join(dirname(manifest), "dist/main.js");
}

/** Node's own size of libuv's pool, which reads files too. */
const poolThreadsMin = 4;

/** sharp decodes on libuv's pool, whose size is read once at the start of a process. Workers decode nothing. */
function environmentOf(request: LaunchRequest): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env, OMP_NUM_THREADS: String(request.threads) };
  if (request.service === "data-shard")
    environment["UV_THREADPOOL_SIZE"] = String(Math.max(poolThreadsMin, request.threads));
  if (request.token !== undefined) environment["LOCKSTEP_TOKEN"] = request.token;
  return environment;
}

function lifeOf(child: ChildProcess, logPath: string): Pick<Launched, "ended" | "stop"> {
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.on("error", ({ message }) => {
      if (child.pid !== undefined) return; // it could not be killed or told: it lives on until its exit
      resolve({ ok: false, how: `could not be started: ${message}`, lastLines: [] });
    });
    child.once("exit", (code, signal) => {
      const lastLines = code === 0 ? [] : lastLinesOf(logPath);
      resolve({ ok: code === 0, how: howEnded(code, signal, logPath, lastLines), lastLines });
    });
  });
  // A pipe to a process that has just died raises EPIPE; its exit tells the same.
  child.stdin?.on("error", () => undefined);
  const endsWithin = (milliseconds: number): Promise<boolean> => {
    const late = delay(milliseconds, false, { ref: false });
    return Promise.race([ended.then(() => true), late]);
  };
  const stop = async (graceMs: number): Promise<void> => {
    if (await endsWithin(graceMs)) return;
    child.stdin?.end();
    if (await endsWithin(graceMs)) return;
    child.kill("SIGKILL");
    await ended;
  };
  return { ended, stop };
}

function howEnded(code: number | null, signal: string | null, logPath: string, lines: readonly string[]): string {
  if (code === 0) return "ended";
  const how = signal === null ? `ended with exit code ${code}` : `ended with ${signal}`;
  return lines.length === 0 ? `${how} and logged nothing (log: ${logPath})` : `${how} (log: ${logPath})`;
}

/** Only the end is read: a log may be large, and so may a line. Nothing where the log is gone: the run's folder was removed. */
function lastLinesOf(logPath: string): string[] {
  let log: number | undefined;
  try {
    log = openSync(logPath, "r");
    const { size } = fstatSync(log);
    const bytes = Buffer.alloc(Math.min(size, lastBytesMax));
    const read = readSync(log, bytes, 0, bytes.length, size - bytes.length);
    return bytes
      .toString("utf8", 0, read)
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-lastLinesMax)
      .map((line) => line.trimEnd().slice(0, lineCharactersMax));
  } catch {
    return [];
  } finally {
    if (log !== undefined) closeSync(log);
  }
}
