#!/usr/bin/env node
/** The worker's process: flags, wiring, signals. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { collectInOneGo, defaultListenAddress } from "@lockstep/rpc";
import { InputError } from "@lockstep/spec";
import { openLog } from "@lockstep/telemetry";
import { Worker } from "./worker.js";

const usage = `Usage: worker --coordinator HOST:PORT --job NAME [options]

Computes micro-batches of one job until the coordinator says that it is done. Usually started by the coordinator.

  --coordinator HOST:PORT  the coordinator's address
  --job NAME               the job to work for
  --listen HOST:PORT       where other workers reach this one (default ${defaultListenAddress}; beyond loopback needs a token)
  --advertise HOST:PORT    the address that others are told, where it differs from --listen
  --name NAME              what its log calls it (default worker)
  --log-file FILE          append the log to FILE instead of standard error
  --exit-with-parent       exit at once when standard input ends
  --help

Environment: LOCKSTEP_TOKEN, the join token; LOCKSTEP_LOG_LEVEL: trace, debug, info, warn or error.
Exit codes: 0 done, 1 internal error, 2 bad input, 3 training failed.
`;

const exitCodes = { done: 0, internalError: 1, badInput: 2, trainingFailed: 3 } as const;

function readFlags() {
  const { values } = parseArgs({
    options: {
      coordinator: { type: "string" },
      job: { type: "string" },
      listen: { type: "string", default: defaultListenAddress },
      advertise: { type: "string" },
      name: { type: "string", default: "worker" },
      "log-file": { type: "string" },
      "exit-with-parent": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  return values;
}

function required(value: string | undefined, flag: string): string {
  if (value !== undefined && value !== "") return value;
  throw new InputError({ where: flag, found: "nothing", allowed: "a value; see --help" });
}

function buildVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

async function main(): Promise<number> {
  const flags = readFlags();
  if (flags.help) {
    process.stdout.write(usage);
    return exitCodes.done;
  }
  if (flags["exit-with-parent"]) {
    process.stdin.on("end", () => process.exit(exitCodes.internalError)).resume();
    process.on("SIGINT", () => undefined); // Ctrl-C reaches every process of a terminal: the parent decides what it means
  }
  collectInOneGo();
  const worker = new Worker({
    coordinator: required(flags.coordinator, "--coordinator"),
    job: required(flags.job, "--job"),
    listen: flags.listen,
    advertise: flags.advertise,
    token: process.env["LOCKSTEP_TOKEN"],
    build: buildVersion(),
    log: openLog({ source: flags.name, file: flags["log-file"] }),
  });
  process.on("SIGTERM", () => worker.leave("SIGTERM"));
  return (await worker.run()) === "done" ? exitCodes.done : exitCodes.trainingFailed;
}

try {
  process.exit(await main());
} catch (thrown) {
  process.stderr.write(
    `${thrown instanceof InputError ? thrown.message : ((thrown as Error).stack ?? String(thrown))}\n`,
  );
  process.exit(thrown instanceof InputError ? exitCodes.badInput : exitCodes.internalError);
}
