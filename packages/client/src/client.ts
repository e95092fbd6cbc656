/** The client of a coordinator's JobService. Every call has a deadline; calls that may run twice are tried again. */
import {
  callUnary,
  openClient,
  readStream,
  RpcError,
  Status,
  JobServiceClient,
  type ExplainReply,
  type Job,
} from "@lockstep/rpc";
import { type JobEvent, type JobSpec } from "@lockstep/spec";
import { setTimeout as delay } from "node:timers/promises";

/** Indexing and hashing happen inside Submit and Explain: a large set on a slow disk takes minutes. */
const submitDeadlineMs = 30 * 60_000;
const callDeadlineMs = 10_000;
const callTries = 4;

/** A broken stream of events is opened again this often before its error is thrown, counted anew with each event. */
const watchTries = 6;
const watchRetryMs = 200;

/** One event, with its place in the job's sequence 1, 2, 3, ... */
export interface SequencedEvent {
  readonly sequence: number;
  readonly event: JobEvent;
}

export interface SubmittedSpec {
  /** As parsed; the coordinator resolves what the dataset decides. */
  readonly spec: JobSpec;
  /** Begins the coordinator's error sentences: "job.yaml". */
  readonly origin: string;
}

export class JobClient {
  private readonly service: JobServiceClient;
  private readonly address: string;

  /** @throws InputError when `address` is no host:port */
  constructor(address: string, options: { readonly token?: string | undefined } = {}) {
    this.address = address;
    this.service = openClient(JobServiceClient, address, options);
  }

  /**
   * Queues a job; resolves once it is accepted. Not tried again: it would run twice.
   * @throws InputError naming the field, what was found and what is allowed
   */
  async submit(submitted: SubmittedSpec, signal?: AbortSignal): Promise<Job> {
    const limits = { what: this.what("Submit"), deadlineMs: submitDeadlineMs, signal };
    return await callUnary(this.service.submit.bind(this.service), requestOf(submitted), limits);
  }

  /** Checks what submit checks and tells what would run. @throws InputError as submit does */
  async explain(submitted: SubmittedSpec, signal?: AbortSignal): Promise<ExplainReply> {
    const limits = { what: this.what("Explain"), deadlineMs: submitDeadlineMs, tries: callTries, signal };
    return await callUnary(this.service.explain.bind(this.service), requestOf(submitted), limits);
  }

  /** @throws RpcError NOT_FOUND */
  async get(job: string, signal?: AbortSignal): Promise<Job> {
    return await callUnary(this.service.get.bind(this.service), { job }, this.quick("Get", signal));
  }

  async list(signal?: AbortSignal): Promise<readonly Job[]> {
    const reply = await callUnary(this.service.list.bind(this.service), {}, this.quick("List", signal));
    return reply.jobs;
  }

  /** Stops training at the next position; what is trained is saved. Watch tells when. @throws RpcError NOT_FOUND */
  async cancel(job: string, signal?: AbortSignal): Promise<Job> {
    return await callUnary(this.service.cancel.bind(this.service), { job }, this.quick("Cancel", signal));
  }

  /**
   * Every event after number `after`, then live ones, until the job's last event; each exactly once, progress apart, of which
   * only the newest is told. A broken stream is taken up where it broke.
   * @throws RpcError when the coordinator stays out of reach; the signal's reason when aborted
   */
  async *watch(job: string, after = 0, signal?: AbortSignal): AsyncGenerator<SequencedEvent, void, undefined> {
    let afterSequence = after;
    let failures = 0;
    for (;;) {
      try {
        const open = () => this.service.watch({ job, afterSequence });
        for await (const message of readStream(open, { what: this.what("Watch"), signal })) {
          failures = 0;
          const event = JSON.parse(message.eventJson) as JobEvent;
          // Progress is live only: it carries the number of the event before it.
          if (event.type !== "progress" && message.sequence <= afterSequence) continue;
          afterSequence = message.sequence;
          yield { sequence: message.sequence, event };
        }
        return;
      } catch (thrown) {
        failures += 1;
        const mayPass = thrown instanceof RpcError && thrown.code === Status.UNAVAILABLE;
        if (!mayPass || failures >= watchTries) throw thrown;
        await delay(watchRetryMs * failures);
        signal?.throwIfAborted();
      }
    }
  }

  close(): void {
    this.service.close();
  }

  private what(call: string): string {
    return `${call} from the coordinator at ${this.address}`;
  }

  private quick(call: string, signal: AbortSignal | undefined) {
    return { what: this.what(call), deadlineMs: callDeadlineMs, tries: callTries, signal };
  }
}

function requestOf({ spec, origin }: SubmittedSpec): { specJson: string; origin: string } {
  return { specJson: JSON.stringify(spec), origin };
}
