// A launcher starts the processes of a job: on this machine (local.ts), or elsewhere.

export interface LaunchRequest {
  /** Stands in log names and messages: "worker-1", "data-shard-2". */
  readonly name: string;
  readonly service: "worker" | "data-shard";
  readonly job: string;
  /** host:port of the coordinator, as the process reaches it. */
  readonly coordinator: string;
  /** The run's folder; the process's log goes into its logs/. */
  readonly runFolder: string;
  /** Threads that the process is to keep to. */
  readonly threads: number;
  /** Address to listen on, and the one to tell peers where it differs. */
  readonly listen: string;
  readonly advertise: string | undefined;
  readonly token: string | undefined;
}

export interface Launched {
  readonly name: string;
  readonly processId: number;
  /** Resolves when the process has ended, with a sentence that holds its last lines when it did not end by itself with 0. */
  readonly ended: Promise<{ readonly ok: boolean; readonly sentence: string }>;
  /** Asks it to end, then makes it, and resolves when it has. */
  stop(graceMs: number): Promise<void>;
}

export interface Launcher {
  launch(request: LaunchRequest): Launched;
}
