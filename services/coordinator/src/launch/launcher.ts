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

export interface ProcessEnd {
  /** With exit code 0. */
  readonly ok: boolean;
  /** One line, goes on where the process's name ends a sentence's beginning: "ended with SIGKILL (log: ...)". */
  readonly how: string;
  /** Of its log, oldest first, where it did not end well. They come from outside: any text. */
  readonly lastLines: readonly string[];
}

export interface Launched {
  readonly name: string;
  readonly processId: number;
  /** Resolves when the process has ended; never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** Gives it `graceMs` to end by itself, as after Done, then as long to end when asked, then kills it; resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
}

export interface Launcher {
  launch(request: LaunchRequest): Launched;
}
