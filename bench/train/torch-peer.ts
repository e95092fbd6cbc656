import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export type TorchForm = "eager" | "channels_last";

/** After a block the peer's OpenMP threads spin for a while: the next block, ours or its own, starts after that. */
const restMs = 80;

/** A PyTorch process that trains in blocks, on request. */
export class TorchPeer {
  readonly version: string;
  readonly threads: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  static async start(python: string, threads: number): Promise<TorchPeer> {
    const script = fileURLToPath(new URL("../../peers/torch_train.py", import.meta.url));
    const child = spawn(python, [script, String(threads), "32", "10"], { stdio: ["pipe", "pipe", "inherit"] });
    const failed = once(child, "error").then(([error]) => Promise.reject(error));
    const reader = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const hello = await Promise.race([readLine(lines), failed]);
    return new TorchPeer(child, reader, lines, String(hello["torch"]), threads);
  }

  private constructor(
    child: ChildProcessByStdio<Writable, Readable, null>,
    reader: Interface,
    lines: AsyncIterator<string>,
    version: string,
    threads: number,
  ) {
    this.#child = child;
    this.#reader = reader;
    this.#lines = lines;
    this.version = version;
    this.threads = threads;
  }

  /** Trains `steps` steps and returns images per second. */
  async imagesPerSecond(form: TorchForm, batch: number, steps: number): Promise<number> {
    await sleep(restMs);
    this.#child.stdin.write(JSON.stringify({ form, batch, steps }) + "\n");
    const answer = await readLine(this.#lines);
    await sleep(restMs);
    return (batch * steps) / Number(answer["seconds"]);
  }

  /** Images per second of the better form in two blocks side by side. */
  async best(batch: number, steps: number): Promise<number> {
    const eager = await this.imagesPerSecond("eager", batch, steps);
    return Math.max(eager, await this.imagesPerSecond("channels_last", batch, steps));
  }

  async close(): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.stdin.end();
    await exited;
    this.#reader.close();
  }
}

async function readLine(lines: AsyncIterator<string>): Promise<Record<string, unknown>> {
  const next = await lines.next();
  if (next.done === true) throw new Error("PyTorch's process ended; its message is above");
  return JSON.parse(next.value) as Record<string, unknown>;
}
