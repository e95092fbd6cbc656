import { cpus } from "node:os";

export interface Setting {
  readonly threads: number;
  readonly batch: number;
}

/** Images per second of one round, both sides measured within a second or few. */
export interface Round {
  readonly ours: number;
  readonly torch: number;
}

export interface Comparison {
  readonly what: "bare engine" | "lockstep train";
  readonly setting: Setting;
  readonly rounds: readonly Round[];
}

export function printTable(comparisons: readonly Comparison[], how: { torch: string; markdown: boolean }): void {
  const processor = cpus()[0]?.model ?? "unknown processor";
  console.log(
    `simple-cnn, 32x32, images/s, medians. ${processor}, ${cpus().length} cores, Node ${process.version}, PyTorch ${how.torch}`,
  );
  const header = ["", "batch", "threads", "ours", "PyTorch", "ratio", "lowest", "highest", "rounds"];
  const rows = comparisons.map(rowOf);
  if (how.markdown) {
    for (const row of [header, header.map(() => "--"), ...rows]) console.log(`| ${row.join(" | ")} |`);
    return;
  }
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  for (const row of [header, ...rows]) {
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  "),
    );
  }
}

function rowOf({ what, setting, rounds }: Comparison): string[] {
  const ratios = rounds.map(({ ours, torch }) => ours / torch).sort((a, b) => a - b);
  const images = (value: number) => value.toFixed(0);
  return [
    what,
    String(setting.batch),
    String(setting.threads),
    images(median(rounds.map((round) => round.ours))),
    images(median(rounds.map((round) => round.torch))),
    median(ratios).toFixed(2),
    (ratios[0] ?? NaN).toFixed(2),
    (ratios.at(-1) ?? NaN).toFixed(2),
    String(rounds.length),
  ];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
