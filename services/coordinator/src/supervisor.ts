// One running job from its outline to its end: starts its processes, brings them together, and turns what they report into
// events and files. What is decided about members is decided in packages/protocol.

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { encodeManifest } from "@lockstep/dataset";
import { parametersSha256 } from "@lockstep/model";
import { type MembershipOutput, newMembership, type ShardMap, trainingSteps } from "@lockstep/protocol";
import { type Assignment, JobPhase, Plan, PositionRecord } from "@lockstep/rpc";
import { formatSpec, type ResolvedJobSpec, specHash, type SummaryEvent } from "@lockstep/spec";
import type { Log } from "@lockstep/telemetry";
import { Accounting } from "./accounting.js";
import { DataShards } from "./data-shards.js";
import type { Job } from "./job.js";
import { Children } from "./children.js";
import type { Launched, Launcher, ProcessEnd } from "./launch/launcher.js";
import { Members } from "./members.js";
import { givenNormalization, measuredNormalization } from "./normalization.js";
import { type Outline, type Prepared, resolved, withManifest } from "./prepare.js";
import { checkpointState, MetricsFile, pullArtifacts } from "./publication.js";
import { exitCodeOf, Stopped } from "./stopped.js";
import { writeFileWhole } from "./store/artifacts.js";
import type { Store } from "./store/database.js";
import { threadBudget } from "./thread-budget.js";

export interface SupervisorOptions {
  readonly job: Job;
  readonly outline: Outline;
  readonly store: Store;
  readonly launcher: Launcher;
  /** host:port of this coordinator, as processes of this machine reach it. */
  readonly address: string;
  readonly token: string | undefined;
  readonly log: Log;
}

const heartbeatMs = 200;
const patienceMs = 5_000;
const graceMs = 10_000;
const silenceMs = 60_000;
/** A large image on a slow disk takes seconds: more without a further one means that something hangs. */
const measureMs = 120_000;
const tickMs = 500;
/** More than a heartbeat or two means that records are missing: the job ends without them. */
const lastRecordsMsMax = 5_000;
/** Loading the manifest, starting a runtime: more means that something hangs. */
const startMsMax = 120_000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #abort = new AbortController();
  readonly #children: Children;
  readonly #started = performance.now();
  #closing = false;
  #shards: DataShards | undefined;
  #members: Members | undefined;
  #manifest: Uint8Array | undefined;
  #files: string[] = [];
  /** Of the process that ended first of those that ended unasked. */
  #lastLines: readonly string[] | undefined;
  /** The last position whose records stand in the store, with all before it. */
  #acknowledged = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { job, launcher, address, token, log } = options;
    this.#children = new Children({
      launcher,
      request: { job: job.job, coordinator: address, runFolder: job.runFolder, token },
      log,
      ended: (child, end) => this.#onChildEnded(child, end),
    });
  }

  get shards(): DataShards | undefined {
    return this.#shards;
  }

  get members(): Members | undefined {
    return this.#members;
  }

  /** The encoded manifest, once every file is hashed. */
  get manifest(): Uint8Array | undefined {
    return this.#manifest;
  }

  /** A person's wish: takes effect at the next position; what is trained is saved. */
  cancel(why: string): void {
    this.#stop(new Stopped("cancelled", why));
  }

  /** To the job's end, whatever it is; never throws. */
  async run(): Promise<void> {
    const { job, log } = this.#options;
    const ticker = setInterval(() => {
      this.#members?.advance({ type: "tick" });
      this.#shards?.tick();
    }, tickMs);
    try {
      await this.#train();
    } catch (error) {
      log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
      this.#fail(error);
    } finally {
      clearInterval(ticker);
      this.#closing = true;
      this.#shards?.dismiss("the job is closed");
      await this.#children.stop();
      log.info(`job ${job.job} ended: ${JSON.stringify(job.state)}`);
    }
  }

  async #train(): Promise<void> {
    const { job, outline } = this.#options;
    const { signal } = this.#abort;
    job.tell({ type: "phase", phase: "preparing" });
    const prepared = await this.#hashFiles();
    const { spec, shards } = await this.#startShards(prepared);
    signal.throwIfAborted();
    const specJson = JSON.stringify(spec);
    const specFile = join(job.runFolder, "spec.yaml");
    writeFileWhole(specFile, formatSpec(spec));
    this.#files.push(specFile);
    const metrics = new MetricsFile(job.runFolder);
    this.#files.push(metrics.path);
    const accounting = new Accounting({
      timetable: outline.timetable,
      splits: prepared.manifest.splits,
      seed: spec.seed,
      tell: (event) => job.tell(event),
      metric: (line) => metrics.write(line),
      now: () => performance.now(),
    });
    try {
      const closed = await this.#runMembers(prepared, spec, shards, accounting, () => {
        job.enter({ phase: JobPhase.TRAINING }, specJson);
        job.tell({ type: "phase", phase: "training" });
      });
      this.#end(closed, spec, accounting);
    } finally {
      metrics.close();
    }
  }

  async #hashFiles(): Promise<Prepared> {
    const { job, outline, log } = this.#options;
    const prepared = await withManifest(outline, () => undefined, this.#abort.signal);
    const { timetable, source } = outline;
    this.#manifest = encodeManifest(prepared.manifest);
    log.info(`dataset ${prepared.manifest.digest}: ${source.labels.length} samples in ${source.files.length} files`);
    job.tell({
      type: "dataset",
      path: source.root,
      format: source.format,
      classes: source.classes,
      train: timetable.trainSamples,
      validation: timetable.validationSamples,
      test: timetable.testSamples,
      digest: prepared.manifest.digest,
    });
    return prepared;
  }

  async #startShards(prepared: Prepared): Promise<{ spec: ResolvedJobSpec; shards: ShardMap }> {
    const { job, outline } = this.#options;
    const { cluster, dataset, determinism } = outline.spec;
    const budget = threadBudget(outline);
    const shards = new DataShards({
      count: cluster.dataShards,
      strict: determinism === "strict",
      assignment: {
        job: job.job,
        specJson: JSON.stringify(outline.spec),
        datasetDigest: prepared.manifest.digest,
        cacheBytesMax: cluster.cacheMiB * 2 ** 20,
        decodeThreads: budget.dataShard,
        heartbeatMs,
      },
      silenceMs,
      measureMs,
      now: () => performance.now(),
      processOf: (processId) => this.#children.processOf(processId),
      failed: (sentence) => this.#stop(new Stopped("failed", sentence)),
    });
    this.#shards = shards;
    this.#children.launch("data-shard", cluster.dataShards, budget.dataShard);
    await this.#within(startMsMax, "the data-shards did not get ready", shards.ready(this.#abort.signal));
    const given = givenNormalization(outline.spec, dataset.channels);
    const { trainSamples } = outline.timetable;
    const normalize =
      given ?? measuredNormalization(await shards.measure(trainSamples, this.#abort.signal), dataset.channels);
    return { spec: resolved(outline, normalize), shards: shards.announce(outline.shards) };
  }

  /** Workers from their start to the closed generation. */
  #runMembers(
    prepared: Prepared,
    spec: ResolvedJobSpec,
    shards: ShardMap,
    accounting: Accounting,
    begun: () => void,
  ): Promise<Extract<MembershipOutput, { type: "closed" }>> {
    const { job, outline, store, log } = this.#options;
    const { timetable } = outline;
    const limits = { workersWanted: spec.cluster.workers, patienceMs, graceMs, silenceMs };
    const membership = newMembership({
      ...limits,
      job: job.job,
      incarnation: store.incarnation,
      microBatches: timetable.microBatches,
      shards,
    });
    let late: NodeJS.Timeout | undefined;
    const closed = new Promise<Extract<MembershipOutput, { type: "closed" }>>((resolve) => {
      const members = new Members({
        membership,
        assignment: this.#assignment(prepared, spec),
        strict: spec.determinism === "strict",
        now: () => performance.now(),
        processOf: (processId) => this.#children.processOf(processId),
        records: (records) => this.#record(records, accounting),
        store: (plan) => {
          this.#keeping(() => store.putPlan(job.job, plan.ballot, Plan.encode(plan).finish()));
          clearTimeout(late);
          if (plan.end === undefined) begun();
        },
        storeArtifacts: (output, address) => void this.#storeArtifacts(output, address),
        closed: resolve,
        raiseIncarnation: (above) => store.raiseIncarnationAbove(above),
        note: (text) => log.info(text),
      });
      this.#members = members;
      const stop = (): void => {
        const { reason } = this.#abort.signal;
        const { outcome, message } = reason instanceof Stopped ? reason : new Stopped("failed", String(reason));
        members.advance({ type: "stop", ending: { outcome, why: message } });
      };
      if (this.#abort.signal.aborted) return stop();
      this.#abort.signal.addEventListener("abort", stop, { once: true });
      this.#children.launch("worker", spec.cluster.workers, threadBudget(outline).worker);
      late = setTimeout(() => {
        const { gathered } = members;
        if (gathered === undefined) return;
        const sentence = `only ${gathered} of ${spec.cluster.workers} workers came within ${startMsMax / 1000} s`;
        this.#stop(new Stopped("failed", sentence));
      }, startMsMax);
    });
    return closed.finally(() => clearTimeout(late));
  }

  /** Ends the job when a start takes longer than anything but a hang does. */
  async #within<Result>(milliseconds: number, sentence: string, start: Promise<Result>): Promise<Result> {
    const late = setTimeout(() => {
      this.#stop(new Stopped("failed", `${sentence} within ${milliseconds / 1000} s`));
    }, milliseconds);
    try {
      return await start;
    } finally {
      clearTimeout(late);
    }
  }

  #assignment(prepared: Prepared, spec: ResolvedJobSpec): Assignment {
    const { trainSamples, validationSamples, testSamples } = prepared.timetable;
    return {
      job: this.#options.job.job,
      specJson: JSON.stringify(spec),
      classes: [...prepared.manifest.classes],
      trainSamples,
      validationSamples,
      testSamples,
      threads: threadBudget(prepared).worker,
      heartbeatMs,
      patienceMs,
      specHash: specHash(spec).first64,
      datasetDigest: prepared.manifest.digest,
    };
  }

  /** Nobody is to leave before Done. */
  #onChildEnded(child: Launched, { how, lastLines }: ProcessEnd): void {
    if (this.#closing || this.#members?.closed === true) return;
    this.#lastLines ??= lastLines;
    const isMember = this.#members?.processEnded(child.processId, how) ?? false;
    if (!isMember) this.#stop(new Stopped("failed", `${child.name} ${how}`));
  }

  /** A difference, or samples that were not due, is an alarm: the job stops and keeps what it has. */
  #record(records: readonly PositionRecord[], accounting: Accounting): number {
    const counted: PositionRecord[] = [];
    this.#keeping(() => {
      for (const record of records) counted.push(...accounting.add(record));
    });
    this.#keeping(() => {
      const stored = counted.map((each) => ({ position: each.position, bytes: PositionRecord.encode(each).finish() }));
      this.#options.store.putRecords(this.#options.job.job, stored);
      this.#acknowledged = accounting.counted;
    });
    return this.#acknowledged;
  }

  /** Runs what keeps the job's books; an alarm there, or a full disk, stops the job. */
  #keeping(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#stop(new Stopped("failed", (error as Error).message));
    }
  }

  /** Members hand over their last records after they have reached the end: they are waited for, unless the books are shut. */
  async #recordsUpTo(position: number): Promise<void> {
    const deadlineMs = performance.now() + lastRecordsMsMax;
    while (this.#acknowledged < position && performance.now() < deadlineMs) await delay(heartbeatMs / 2);
  }

  async #storeArtifacts(
    { artifacts, position }: Extract<MembershipOutput, { type: "store-artifacts" }>,
    address: string,
  ): Promise<void> {
    const { job, token } = this.#options;
    job.enter({ phase: JobPhase.PUBLISHING });
    job.tell({ type: "phase", phase: "publishing" });
    try {
      const writer = { job: job.job, address, token };
      const paths = await pullArtifacts(writer, artifacts, job.runFolder);
      this.#files.unshift(...paths);
      await this.#recordsUpTo(position);
      this.#members?.advance({ type: "stored" });
    } catch (error) {
      this.#members?.advance({ type: "not-stored", why: (error as Error).message });
    }
  }

  #end(closed: Extract<MembershipOutput, { type: "closed" }>, spec: ResolvedJobSpec, accounting: Accounting): void {
    const { job } = this.#options;
    const { outcome, why, position } = closed;
    const summary =
      position === undefined ? undefined : this.#summary(position, spec, accounting, outcome === "cancelled");
    const untold = accounting.untoldUpTo(position ?? 0);
    if (outcome !== "failed" && untold !== undefined)
      return this.#end({ ...closed, outcome: "failed", why: untold }, spec, accounting);
    if (outcome === "failed") {
      if (summary !== undefined) job.tell({ type: "checkpoint", position: position ?? 0, files: summary.files });
      return this.#fail(new Stopped("failed", why));
    }
    if (summary !== undefined) job.tell(summary);
    if (outcome === "cancelled") return job.enter({ phase: JobPhase.CANCELLED, reason: why, summary });
    if (summary === undefined) return this.#fail(new Error("the job closed without its files"));
    return job.enter({ phase: JobPhase.SUCCEEDED, summary });
  }

  #summary(position: number, spec: ResolvedJobSpec, accounting: Accounting, cancelled: boolean): SummaryEvent {
    const { job, outline } = this.#options;
    const state = checkpointState(job.runFolder, spec, outline.source.classes.length);
    return {
      type: "summary",
      run: job.job,
      workers: spec.cluster.workers,
      parametersSha256: parametersSha256(state),
      ...accounting.figures(),
      steps: trainingSteps(outline.timetable, position),
      files: this.#files,
      seconds: (performance.now() - this.#started) / 1000,
      cancelled,
    };
  }

  /** Before there are members it ends the job; from then on it is a ballot. */
  #stop(reason: Stopped): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(reason);
  }

  #fail(error: unknown): void {
    const { job } = this.#options;
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Stopped && error.outcome === "cancelled") {
      job.tell({ type: "log", level: "warn", source: "coordinator", message: `${message}; nothing was trained yet` });
      return job.enter({ phase: JobPhase.CANCELLED, reason: message, summary: undefined });
    }
    const exitCode = exitCodeOf(error);
    const lastLines = this.#lastLines ?? [];
    job.tell({ type: "error", message, exitCode, ...(lastLines.length > 0 ? { lastLines } : {}) });
    job.enter({ phase: JobPhase.FAILED, reason: message, exitCode });
  }
}
