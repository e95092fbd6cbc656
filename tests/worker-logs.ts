/** What a run's workers wrote to their logs; docs/logs.md explains the lines. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The lines of each worker of a run, from its folder. */
export async function workerLogs(runFolder: string): Promise<Map<string, string[]>> {
  const logs = new Map<string, string[]>();
  const folder = join(runFolder, "logs");
  for (const file of (await readdir(folder)).filter((name) => name.startsWith("worker")).toSorted()) {
    logs.set(file, (await readFile(join(folder, file), "utf8")).split("\n"));
  }
  return logs;
}

export interface StepLine {
  readonly phase: string;
  /** Micro-batches of the position, all workers'. */
  readonly microBatches: number;
  /** This worker's, as "0-3"; "-": none. */
  readonly runs: string;
}

/** The lines that a worker writes at each position, at level debug. */
export function stepLines(lines: readonly string[]): StepLine[] {
  return lines.flatMap((line) => {
    const found = / epoch +\d+ +(train|validation|test) .* of +(\d+) runs (\S+)/.exec(line);
    return found === null
      ? []
      : [{ phase: found[1] as string, microBatches: Number(found[2]), runs: found[3] as string }];
  });
}

export interface SamplesLine {
  /** 1, 2, 3, ... */
  readonly epoch: number;
  readonly phase: string;
  /** Place of the first sample in the phase's order. */
  readonly firstPlace: number;
  readonly indices: readonly number[];
}

/** The lines that a worker writes for each micro-batch it computes, at level trace. */
export function samplesLines(lines: readonly string[]): SamplesLine[] {
  return lines.flatMap((line) => {
    const found = / samples epoch (\d+) (\w+) from (\d+): ([\d ]+)$/.exec(line);
    if (found === null) return [];
    const [, epoch, phase = "", firstPlace, indices = ""] = found;
    return [{ epoch: Number(epoch), phase, firstPlace: Number(firstPlace), indices: indices.split(" ").map(Number) }];
  });
}
