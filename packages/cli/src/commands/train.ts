import { isLoopback, type Job, JobPhase, parseAddress } from "@lockstep/client";
import { type ErrorEvent, InputError, type SummaryEvent } from "@lockstep/spec";
import { join, resolve } from "node:path";
import type { Arguments } from "../arguments.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import { type Flag, specFlags } from "../flags.js";
import { type Interruption, watchInterruptions } from "../interruption.js";
import { type Output, outputFor } from "../output.js";
import { type CoordinatorSession, openSession } from "../session.js";
import { readSpec, type SpecSource } from "../spec-source.js";
import type { Command } from "./command.js";

const runFlags: readonly Flag[] = [
  { group: "Run", name: "spec", value: "FILE", meaning: "job spec in YAML or JSON; flags override its fields" },
  { group: "Run", name: "runs-folder", value: "DIR", meaning: "where the run's folder is made (default runs)" },
  { group: "Run", name: "json", value: undefined, meaning: "one JSON object a line, the summary last" },
  {
    group: "Run",
    name: "listen",
    value: "HOST:PORT",
    meaning: "address of the coordinator (default 127.0.0.1:0); others than loopback need LOCKSTEP_TOKEN",
  },
  { group: "Run", name: "advertise", value: "HOST:PORT", meaning: "address under which others reach the coordinator" },
];

export const train: Command = {
  name: "train",
  meaning: "Train an image classifier",
  usage: [
    "lockstep train DIR [flags]",
    "lockstep train --spec FILE [flags]",
    "",
    "Trains on DIR: one folder of images for each class, or train/, val/ and test/ folders of such folders,",
    "or MNIST-style IDX files, or CIFAR-10/100 files. The model, its checkpoint and its numbers go to runs/<name>/.",
    "Ctrl-C stops at the next step and saves what is trained; a second Ctrl-C stops at once.",
  ],
  flags: [...specFlags, ...runFlags],
  examples: [
    "lockstep train photos --workers 2",
    "lockstep train photos --image-size 96 --epochs 30 --augment flip,crop=4",
    "lockstep train mnist --model simple-cnn --epochs 5 --lr 1e-3",
    "lockstep train --spec job.yaml --seed 7 --json",
  ],
  run: runTrain,
};

async function runTrain(given: Arguments): Promise<number> {
  const source = await readSpec("train", given);
  const addresses = readAddresses(given);
  const output = outputFor(given.flags.has("json"));
  const interruption = watchInterruptions();
  process.stdout.on("error", interruption.interrupt); // whoever read it has gone
  let session: CoordinatorSession | undefined;
  const endAtOnce = () => {
    session?.coordinator.kill();
    output.note("Stopped at once; what was not saved is lost.");
    process.exit(exitCodes.interrupted);
  };
  interruption.second.addEventListener("abort", endAtOnce, { once: true });
  try {
    output.status("Starting the coordinator");
    session = await openSession({
      runsFolder: resolve(given.flags.get("runs-folder") ?? "runs"),
      ...addresses,
    });
    return await trainWith(session, source, output, interruption);
  } finally {
    output.end();
    await session?.close();
    interruption.release();
  }
}

interface Addresses {
  readonly listen?: string;
  readonly advertise?: string;
}

/** Checked here, before anything starts. @throws InputError */
function readAddresses(given: Arguments): Addresses {
  const listen = given.flags.get("listen");
  const advertise = given.flags.get("advertise");
  if (advertise !== undefined) parseAddress(advertise, "--advertise");
  if (listen !== undefined && !isLoopback(parseAddress(listen, "--listen").host) && !process.env["LOCKSTEP_TOKEN"]) {
    throw new InputError({
      where: "--listen",
      found: `"${listen}", which other machines can reach, and no join token`,
      allowed: "a loopback address such as 127.0.0.1:0, or any address with a join token in LOCKSTEP_TOKEN",
    });
  }
  return { ...(listen === undefined ? {} : { listen }), ...(advertise === undefined ? {} : { advertise }) };
}

async function trainWith(
  session: CoordinatorSession,
  source: SpecSource,
  output: Output,
  interruption: Interruption,
): Promise<number> {
  const { client, coordinator } = session;
  const lost = new AbortController();
  void coordinator.gone.then((sentence) => lost.abort(new CommandFailure(sentence, exitCodes.internal)));
  const submitted = await submit(session, source, output, AbortSignal.any([lost.signal, interruption.first]));
  const cancel = () => {
    output.note("Stopping at the next step and saving what is trained; Ctrl-C again stops at once.");
    client.cancel(submitted.job, lost.signal).catch((thrown: unknown) => lost.abort(thrown));
  };
  if (interruption.first.aborted) cancel();
  else interruption.first.addEventListener("abort", cancel, { once: true });
  let summary: SummaryEvent | undefined;
  let error: ErrorEvent | undefined;
  for await (const { event } of client.watch(submitted.job, 0, lost.signal)) {
    if (event.type === "summary") summary = event;
    else output.event(event);
    if (event.type === "error") error = event;
  }
  const job = await client.get(submitted.job, lost.signal);
  output.end();
  if (job.phase === JobPhase.FAILED) throw new CommandFailure(job.reason, job.exitCode, undefined, error);
  return finish(job, summary, output);
}

async function submit(
  { client }: CoordinatorSession,
  source: SpecSource,
  output: Output,
  signal: AbortSignal,
): Promise<Job> {
  output.status(`Reading ${source.spec.dataset.path}`);
  try {
    return await client.submit(source, signal);
  } catch (thrown) {
    const interrupted = signal.aborted && !(signal.reason instanceof CommandFailure);
    if (!interrupted) throw thrown;
    throw new CommandFailure("interrupted before training began; nothing was written", exitCodes.interrupted, thrown);
  }
}

function finish(job: Job, summary: SummaryEvent | undefined, output: Output): number {
  if (summary !== undefined) output.summary(summary, job.runFolder);
  if (job.phase !== JobPhase.CANCELLED) return exitCodes.done;
  if (summary === undefined)
    output.note(`Stopped before anything was trained; logs are in ${join(job.runFolder, "logs")}.`);
  return exitCodes.interrupted;
}
