// Worker and data-shard processes on this machine. Their standard input is a pipe that this process holds: when this process
// dies, be it by kill -9, the pipe closes and they end.

import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Launched, Launcher, LaunchRequest } from "./launcher.js";

/** Of a crashed child's log, in its error. */
const lastLines = 5;

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
      words.push("--listen", request.listen, "--exit-with-parent");
      if (request.advertise !== undefined) words.push("--advertise", request.advertise);
      const child = spawn(process.execPath, words, { stdio: ["pipe", log, log], env: environmentOf(request) });
      return { name: request.name, processId: child.pid ?? 0, ...lifeOf(child, request.name, logPath) };
    } finally {
      closeSync(log);
    }
  }
}

function installedMain(service: LaunchRequest["service"]): string {
  const manifest = createRequire(import.meta.url).resolve(`@lockstep/${service}/package.json`);
  return join(dirname(manifest), "dist/main.js");
}

/** sharp decodes on libuv's pool, whose size is read once at the start of a process. */
function environmentOf(request: LaunchRequest): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    UV_THREADPOOL_SIZE: String(Math.max(4, request.threads)),
    OMP_NUM_THREADS: String(request.threads),
  };
  if (request.token !== undefined) environment["LOCKSTEP_TOKEN"] = request.token;
  return environment;
}

function lifeOf(child: ChildProcess, name: string, logPath: string): Pick<Launched, "ended" | "stop"> {
  const ended = new Promise<{ ok: boolean; sentence: string }>((resolve) => {
    child.once("error", (error) => resolve({ ok: false, sentence: `${name} could not be started: ${error.message}` }));
    child.once("exit", (code, signal) => resolve(endOf(name, code, signal, logPath)));
  });
  // A pipe to a process that has just died raises EPIPE; its exit tells the same.
  child.stdin?.on("error", () => undefined);
  const stop = async (graceMs: number): Promise<void> => {
    child.stdin?.end();
    child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await ended;
    clearTimeout(killer);
  };
  return { ended, stop };
}

function endOf(
  name: string,
  code: number | null,
  signal: string | null,
  logPath: string,
): { ok: boolean; sentence: string } {
  if (code === 0) return { ok: true, sentence: `${name} ended` };
  const how = signal === null ? `exit code ${code}` : signal;
  const lines = readFileSync(logPath, "utf8").trimEnd().split("\n").slice(-lastLines);
  const said = lines.join("\n") === "" ? "it logged nothing" : `its last lines:\n${lines.join("\n")}`;
  return { ok: false, sentence: `${name} ended with ${how} (log: ${logPath}); ${said}` };
}
