// The processes of one job, as the launcher started them: their numbers, and who ended unasked.

import type { Log } from "@lockstep/telemetry";
import type { Launched, Launcher, LaunchRequest, ProcessEnd } from "./launch/launcher.js";

export interface ChildrenOptions {
  readonly launcher: Launcher;
  /** The same for all of them. */
  readonly request: Pick<LaunchRequest, "job" | "coordinator" | "runFolder" | "token">;
  readonly log: Log;
  ended(child: Launched, end: ProcessEnd): void;
}

/** For a process to end after Done, then when asked, before it is killed. */
const stopGraceMs = 3_000;

export class Children {
  readonly #options: ChildrenOptions;
  readonly #children: Launched[] = [];

  constructor(options: ChildrenOptions) {
    this.#options = options;
  }

  /** "worker-1" to "worker-`count`". */
  launch(service: LaunchRequest["service"], count: number, threads: number): void {
    const { launcher, request, log } = this.#options;
    for (let number = 1; number <= count; number++) {
      const name = `${service}-${number}`;
      const child = launcher.launch({
        ...request,
        name,
        service,
        threads,
        listen: "127.0.0.1:0",
        advertise: undefined,
      });
      this.#children.push(child);
      log.info(`started ${name}, process ${child.processId}`);
      void child.ended.then((end) => this.#options.ended(child, end));
    }
  }

  /** Name and place in the order of launch; undefined: started elsewhere. */
  processOf(processId: number): { name: string; order: number } | undefined {
    const order = this.#children.findIndex((child) => child.processId === processId);
    const child = this.#children[order];
    return child === undefined ? undefined : { name: child.name, order };
  }

  /** Resolves when all have ended. */
  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop(stopGraceMs)));
  }
}
