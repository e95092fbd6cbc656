/**
 * All-reduce of a float32 vector between processes of one machine: @lockstep/collective beside gloo (PyTorch), plain
 * http2 streams and raw TCP in Node.
 *
 *   node bench/dist/all-reduce.js [--ranks 2,4] [--sizes 65536,1048576] [--rounds 9] [--python PATH] [--markdown]
 *
 * Bus MB/s = 2 (N-1)/N x bytes / seconds / 10^6, the convention of NCCL's tests: comparable between numbers of ranks. All
 * transports are started once and take turns in each round, so that what else the machine does hits all alike; printed
 * are medians over rounds, and ratios as medians of the ratio within a round. Filling the vector is not timed.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { availableParallelism, cpus } from "node:os";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    ranks: { type: "string", default: "2,4" },
    sizes: { type: "string", default: [64 << 10, 1 << 20, 16 << 20, 47 << 20].join(",") },
    rounds: { type: "string", default: "9" },
    python: { type: "string", default: process.env.LOCKSTEP_BENCH_PYTHON ?? "python3" },
    transports: { type: "string", default: "lockstep,http2,tcp,gloo" },
    markdown: { type: "boolean", default: false },
  },
});

/** About this many bytes per measurement, so that small vectors are repeated. */
const bytesPerMeasurement = 64 << 20;
const repeatsMax = 200;

interface RankProcess {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
  readonly input: Interface;
}

class Transport {
  readonly name: string;
  readonly #processes: readonly RankProcess[];

  private constructor(name: string, processes: readonly RankProcess[]) {
    this.name = name;
    this.#processes = processes;
  }

  static async start(name: string, ranks: number): Promise<Transport> {
    const port = await freePort();
    const processes = Array.from({ length: ranks }, (_, rank) => {
      const [command, ...parameters] = commandOf(name, rank, ranks, port);
      const child = spawn(command as string, parameters, { stdio: ["pipe", "pipe", "inherit"] });
      const input = createInterface(child.stdout);
      return { child, input, lines: input[Symbol.asyncIterator]() };
    });
    const transport = new Transport(name, processes);
    const addresses = (await transport.#answers()).map((answer) => answer.listening);
    transport.#ask({ addresses });
    await transport.#answers();
    return transport;
  }

  /** Seconds of one all-reduce: the slowest rank's mean. */
  async measure(bytes: number, repeats: number): Promise<number> {
    this.#ask({ bytes, repeats });
    const answers = await this.#answers();
    return Math.max(...answers.map((answer) => answer.seconds ?? NaN)) / repeats;
  }

  stop(): void {
    for (const { child, input } of this.#processes) {
      input.close();
      child.kill("SIGKILL");
    }
  }

  #ask(message: object): void {
    for (const { child } of this.#processes) child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  #answers(): Promise<{ listening?: string; seconds?: number }[]> {
    return Promise.all(
      this.#processes.map(async ({ lines }, rank) => {
        const { value, done } = await lines.next();
        if (done === true) throw new Error(`${this.name}: rank ${rank} ended early`);
        return JSON.parse(value) as { listening?: string; seconds?: number };
      }),
    );
  }
}

function commandOf(name: string, rank: number, ranks: number, port: number): string[] {
  const words = [String(rank), String(ranks), String(port)];
  if (name === "gloo")
    return [flags.python, fileURLToPath(new URL("../peers/all_reduce_gloo.py", import.meta.url)), ...words];
  return [process.execPath, fileURLToPath(new URL(`peers/all-reduce-${name}.js`, import.meta.url)), ...words];
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function glooVersion(): string | undefined {
  try {
    return execFileSync(flags.python, ["-c", "import torch; print(torch.__version__)"], { encoding: "utf8" }).trim();
  } catch {
    process.stderr.write(`${flags.python} has no torch: gloo is LEFT OUT (give --python)\n`);
    return undefined;
  }
}

const median = (numbers: readonly number[]) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

interface Row {
  readonly ranks: number;
  readonly bytes: number;
  /** Seconds of each round, by transport. */
  readonly seconds: ReadonlyMap<string, number[]>;
}

async function measureRanks(ranks: number, names: readonly string[], sizes: readonly number[]): Promise<Row[]> {
  const transports: Transport[] = [];
  try {
    for (const name of names) transports.push(await Transport.start(name, ranks));
    const rows: Row[] = sizes.map((bytes) => ({ ranks, bytes, seconds: new Map(names.map((name) => [name, []])) }));
    for (const { bytes, seconds } of rows) {
      const repeats = Math.min(repeatsMax, Math.max(1, Math.floor(bytesPerMeasurement / bytes)));
      for (const transport of transports) await transport.measure(bytes, Math.max(3, repeats)); // warm
      for (let round = 0; round < Number(flags.rounds); round++) {
        const turn = round % 2 === 0 ? transports : transports.toReversed();
        for (const transport of turn) seconds.get(transport.name)?.push(await transport.measure(bytes, repeats));
      }
    }
    return rows;
  } finally {
    for (const transport of transports) transport.stop();
  }
}

function sizeText(bytes: number): string {
  return bytes < 1 << 20 ? `${bytes / 1024} KB` : `${bytes / (1 << 20)} MB`;
}

function cells(row: Row, names: readonly string[]): string[] {
  const factor = (2 * (row.ranks - 1)) / row.ranks;
  const bus = (name: string) => ((factor * row.bytes) / median(row.seconds.get(name) ?? []) / 1e6).toFixed(0);
  const ours = row.seconds.get("lockstep") ?? [];
  const ratios = names
    .filter((name) => name !== "lockstep")
    .map((name) =>
      median((row.seconds.get(name) ?? []).map((theirs, round) => theirs / (ours[round] ?? NaN))).toFixed(2),
    );
  return [String(row.ranks), sizeText(row.bytes), ...names.map(bus), ...ratios];
}

const version = flags.transports.includes("gloo") ? glooVersion() : undefined;
const names = flags.transports.split(",").filter((name) => name !== "gloo" || version !== undefined);
const numbers = (list: string) => list.split(",").map(Number);
const rows: Row[] = [];
for (const ranks of numbers(flags.ranks)) rows.push(...(await measureRanks(ranks, names, numbers(flags.sizes))));

const peers = names.filter((name) => name !== "lockstep");
const table = [
  ["ranks", "vector", ...names, ...peers.map((name) => `vs ${name}`)],
  ...rows.map((row) => cells(row, names)),
];
const line = (row: readonly string[]) =>
  flags.markdown ? `| ${row.join(" | ")} |` : row.map((cell) => cell.padStart(12)).join("");
const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores`;
console.log(
  `Bus MB/s, medians of ${flags.rounds} rounds. ${machine}, Node ${process.versions.node}, torch ${version ?? "-"}.`,
);
console.log(line(table[0] ?? []));
if (flags.markdown) console.log(line((table[0] ?? []).map(() => "---:")));
for (const row of table.slice(1)) console.log(line(row));
