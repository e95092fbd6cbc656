/** The worker from start to exit: listens for peers, attaches to the coordinator, and hands the job to a trainer. */
import { randomUUID } from "node:crypto";
import { PeerServer } from "@lockstep/collective";
import { findEngine } from "@lockstep/engine";
import { advertisedAddress, Hello, MembershipServiceClient, openClient, startServer } from "@lockstep/rpc";
import { requireBallot, readPlan } from "@lockstep/protocol";
import type { Log } from "@lockstep/telemetry";
import { Checkpointer } from "./checkpointer.js";
import { type Control, openControl, type Order } from "./control.js";
import { answersOf } from "./state-transfer.js";
import { Trainer } from "./trainer.js";

export type Ending = "done" | "failed";

export interface WorkerOptions {
  /** host:port of the coordinator. */
  readonly coordinator: string;
  readonly job: string;
  readonly listen: string;
  /** What peers are told instead of the listener's address; port 0 stands for the listener's. */
  readonly advertise: string | undefined;
  readonly token: string | undefined;
  /** Lockstep's version. */
  readonly build: string;
  readonly log: Log;
}

/** The engine that every job of this version runs on: what Hello says before the job is known. */
const engineName = "onnxruntime";
/** How long a worker that asked to leave waits for the coordinator's answer. */
const leaveMsMax = 5_000;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #uuid = randomUUID();
  readonly #peers: PeerServer;
  readonly #client: MembershipServiceClient;
  readonly #control: Control;
  readonly #trainer: Trainer;
  /** What every Hello says; set when run() begins. */
  #hello = Hello.create();
  #exit: (ending: Ending) => void = () => undefined;

  constructor(options: WorkerOptions) {
    const { coordinator, token, log, job } = options;
    this.#options = options;
    const checkpointer = new Checkpointer(options.build);
    const answers = answersOf({ job, state: () => this.#trainer.job?.state, checkpointer });
    this.#peers = new PeerServer({ job, worker: this.#uuid, answers });
    this.#client = openClient(MembershipServiceClient, coordinator, { token });
    this.#control = openControl({
      client: this.#client,
      log,
      connected: () => this.#trainer.advance({ type: "connected" }),
      disconnected: () => this.#trainer.advance({ type: "disconnected" }),
      heartbeat: () => this.#trainer.heartbeat(),
      order: (order) => this.#obey(order),
    });
    this.#trainer = new Trainer({
      worker: this.#uuid,
      control: this.#control,
      peers: this.#peers,
      checkpointer,
      token,
      log,
      hello: () => this.#control.send({ $case: "hello", value: { ...this.#hello, ...this.#trainer.standing() } }),
      exit: (why) => this.#end(why),
    });
  }

  /**
   * Works until the coordinator says that the job is done, or something cannot be mended.
   * @throws InputError, RpcError when the listener cannot be opened or the coordinator refuses this worker
   */
  async run(): Promise<Ending> {
    const { listen, advertise, token, log, job, build } = this.#options;
    const server = await startServer({ services: [this.#peers.service], listen, token });
    this.#hello = Hello.create({
      worker: this.#uuid,
      job,
      address: advertisedAddress(advertise, server.address),
      engineIdentity: await findEngine(engineName).identify(),
      build,
      processId: process.pid,
    });
    log.info(`worker ${this.#uuid} of job ${job} listens on ${server.address}`);
    const exit = new Promise<Ending>((resolve) => (this.#exit = resolve));
    try {
      return await Promise.race([exit, this.#control.run().then(() => exit)]);
    } finally {
      await this.#control.close(1_000);
      this.#client.close();
      await this.#trainer.close();
      await server.stop(1_000);
    }
  }

  /** Asks to leave, and goes after a while whatever the answer. */
  leave(why: string): void {
    this.#options.log.info(`leaves: ${why}`);
    this.#control.send({ $case: "leave", value: { why } });
    setTimeout(() => this.#exit("failed"), leaveMsMax).unref();
  }

  #obey(order: Order): void {
    switch (order.$case) {
      case "assignment":
        this.#trainer.assign(order.value);
        return this.#control.beatEvery(order.value.heartbeatMs);
      case "freeze":
        return this.#trainer.advance({ type: "freeze", ballot: requireBallot(order.value.ballot) });
      case "plan":
        return this.#trainer.advance({ type: "plan", plan: readPlan(order.value) });
      case "acknowledge":
        return this.#trainer.acknowledge(order.value.position);
      case "publish": {
        const { ballot, position, what } = order.value;
        return this.#trainer.advance({ type: "publish", ballot: requireBallot(ballot), position, what });
      }
      case "done":
        return this.#trainer.advance({ type: "done", why: order.value.why });
    }
  }

  #end(why: string): void {
    this.#options.log.info(`exits: ${why}`);
    this.#exit(this.#trainer.failed ? "failed" : "done");
  }
}
