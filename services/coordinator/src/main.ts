#!/usr/bin/env node
/** The coordinator's process: flags, wiring, signals. */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  advertisedAddress,
  coordinatorEndMsMax,
  defaultListenAddress,
  reachableHere,
  startServer,
} from "@lockstep/rpc";
import { InputError } from "@lockstep/spec";
import { openLog } from "@lockstep/telemetry";
import { attachService } from "./attach.js";
import { exitCodes } from "./job.js";
import { Jobs } from "./job-service.js";
import { LocalLauncher } from "./launch/local.js";
import { openFreeStore, Store } from "./store/database.js";

const usage = `Usage: coordinator [options]

Accepts jobs over gRPC, starts their workers and data-shards, and keeps their records and files.

  --listen HOST:PORT     where clients, workers and data-shards reach it (default ${defaultListenAddress};
                         beyond loopback needs a join token)
  --advertise HOST:PORT  the address that other machines are told, where it differs from --listen; port 0: the listener's
  --runs-folder DIR      where runs are kept (default runs)
  --store FILE           SQLite file (default coordinator.sqlite in the runs folder, or where other
                         coordinators are at work there coordinator-2.sqlite, ...)
  --address-file FILE    write the advertised address there once it listens
  --log-file FILE        append the log to FILE instead of standard error
  --exit-with-parent     end when standard input ends
  --help

Environment: LOCKSTEP_TOKEN, the join token; LOCKSTEP_LOG_LEVEL: trace, debug, info, warn or error.
It says where it listens as one line of JSON on standard output: {"type":"listening","address":"127.0.0.1:41234"}.
`;

function readFlags() {
  const { values } = parseArgs({
    options: {
      listen: { type: "string", default: defaultListenAddress },
      advertise: { type: "string" },
      "runs-folder": { type: "string", default: "runs" },
      store: { type: "string" },
      "address-file": { type: "string" },
      "log-file": { type: "string" },
      "exit-with-parent": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  return values;
}

async function main(): Promise<void> {
  const flags = readFlags();
  if (flags.help) {
    process.stdout.write(usage);
    return;
  }
  const token = process.env["LOCKSTEP_TOKEN"];
  const log = openLog({ source: "coordinator", file: flags["log-file"] });
  const runsFolder = resolve(flags["runs-folder"]);
  const store =
    flags.store === undefined ? openFreeStore(resolve(runsFolder, "coordinator.sqlite")) : new Store(flags.store);
  const jobs = new Jobs({ store, launcher: new LocalLauncher(), runsFolder, token, log });
  const server = await startServer({ services: [jobs.service, attachService(jobs)], listen: flags.listen, token });
  // Its processes run on this machine, and what others are told may lead round outside of it.
  const address = (jobs.address = reachableHere(server.address));
  const advertised = advertisedAddress(flags.advertise, server.address);
  log.info(`listens on ${server.address}, advertised as ${advertised}, incarnation ${store.incarnation}`);
  if (flags["address-file"] !== undefined) writeFileSync(flags["address-file"], `${advertised}\n`);
  process.stdout.write(`${JSON.stringify({ type: "listening", address })}\n`);

  let ending = false;
  const end = async (why: string): Promise<void> => {
    if (ending) return;
    ending = true;
    log.info(`ends: ${why}`);
    setTimeout(() => process.exit(exitCodes.internal), coordinatorEndMsMax).unref();
    await jobs.close(why);
    await server.stop(1_000);
    store.close();
    process.exit(exitCodes.done);
  };
  process.on("SIGTERM", () => void end("SIGTERM"));
  if (flags["exit-with-parent"]) {
    process.stdin.on("end", () => void end("its parent has ended")).resume();
    process.on("SIGINT", () => undefined); // Ctrl-C reaches every process of a terminal: the parent decides what it means
  } else {
    process.on("SIGINT", () => void end("interrupted"));
  }
}

try {
  await main();
} catch (thrown) {
  const bad = thrown instanceof InputError;
  process.stderr.write(`${bad ? thrown.message : ((thrown as Error).stack ?? String(thrown))}\n`);
  process.exit(bad ? exitCodes.badInput : exitCodes.internal);
}
