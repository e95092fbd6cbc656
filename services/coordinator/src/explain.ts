// What a job would do, for people: `lockstep explain`.

import { samplesPerShard } from "@lockstep/dataset";
import { describeNetwork, formatShape, layoutOf } from "@lockstep/model";
import {
  dealRuns,
  lastPosition,
  maximalSubtrees,
  microBatchSamples,
  phaseSteps,
  type Timetable,
} from "@lockstep/protocol";
import { threadBudget } from "./thread-budget.js";
import type { Outline } from "./prepare.js";

export function explain(outline: Outline): string {
  const parts = [
    describeDataset(outline),
    describeModel(outline),
    describeSteps(outline.timetable),
    describePlan(outline),
  ];
  return [...parts, describeShards(outline)].join("\n\n");
}

function describeDataset({ spec, source, timetable }: Outline): string {
  const { imageSize, channels, split } = spec.dataset;
  return [
    `Dataset   ${source.root} (${source.format})`,
    `  classes     ${source.classes.length}: ${shortList(source.classes)}`,
    `  samples     ${timetable.trainSamples} train, ${timetable.validationSamples} validation, ${timetable.testSamples} test (split seed ${split.seed})`,
    `  images      ${imageSize.width}x${imageSize.height}, ${channels === 1 ? "grey" : "RGB"}`,
  ].join("\n");
}

function describeModel({ network }: Outline): string {
  const rows = describeNetwork(network);
  const table = [
    ["layer", "type", "output", "parameters", "multiply-adds"],
    ...rows.map((row) => [
      row.name,
      row.type,
      formatShape(row.output),
      grouped(row.parameters),
      grouped(row.multiplyAdds),
    ]),
    [
      "total",
      "",
      "",
      grouped(layoutOf(network).parameterCount),
      grouped(rows.reduce((sum, row) => sum + row.multiplyAdds, 0)),
    ],
  ];
  return `Model\n${aligned(table, 3)}`;
}

function describeSteps(timetable: Timetable): string {
  const { epochs, batchSize, microBatches } = timetable;
  const [train, validation, test] = (["train", "validation", "test"] as const).map((phase) =>
    phaseSteps(timetable, phase),
  );
  return [
    "Steps",
    `  batch       ${batchSize} samples in ${microBatches} micro-batches of ${microBatchSamples(timetable)}`,
    `  epoch       ${train} training and ${validation} validation positions, ${epochs} epochs, then ${test} test positions`,
    `  positions   ${lastPosition(timetable)} in all`,
  ].join("\n");
}

function describePlan(outline: Outline): string {
  const { spec, timetable } = outline;
  const { workers } = spec.cluster;
  const budget = threadBudget(outline);
  const rows = dealRuns(timetable.microBatches, workers).map((run, rank) => {
    const partials = maximalSubtrees([run], timetable.microBatches).map((each) => `[${each.first}, ${each.end})`);
    return [`worker-${rank + 1}`, `[${run.first}, ${run.end})`, partials.join(" ")];
  });
  const table = aligned([["worker", "micro-batches", "partial sums sent"], ...rows], 3);
  return `Plan      ${budget.worker} compute threads a worker, ${budget.dataShard} decode threads a data-shard\n${table}`;
}

function describeShards(outline: Outline): string {
  const { shards, source } = outline;
  const blocks = shards.owners.length / shards.ownersPerBlock;
  const rows = samplesPerShard(shards, source.labels.length).map((samples, shard) => {
    const second = Array.from({ length: blocks }, (_, block) => shards.owners[block * shards.ownersPerBlock + 1]);
    const kept = shards.ownersPerBlock === 2 ? second.filter((owner) => owner === shard).length : 0;
    const first = Array.from({ length: blocks }, (_, block) => shards.owners[block * shards.ownersPerBlock]);
    return [
      `data-shard-${shard + 1}`,
      grouped(samples),
      String(first.filter((owner) => owner === shard).length),
      String(kept),
    ];
  });
  const head = ["data-shard", "samples", "blocks asked first", "blocks as second owner"];
  const owners = shards.ownersPerBlock === 1 ? "1 owner" : "2 owners, the one asked first leading";
  const title = `Shard map ${blocks} blocks of ${shards.blockSamples} samples; each block has ${owners}`;
  return `${title}\n${aligned([head, ...rows], 1)}\n${describeBlocks(outline)}`;
}

/** Blocks that are listed before "..." and the last. */
const blocksListed = 8;

function describeBlocks({ shards, source }: Outline): string {
  const { blockSamples, ownersPerBlock } = shards;
  const blocks = shards.owners.length / ownersPerBlock;
  const row = (block: number): string[] => {
    const end = Math.min((block + 1) * blockSamples, source.labels.length);
    const owners = shards.owners.subarray(block * ownersPerBlock, (block + 1) * ownersPerBlock);
    const names = [...owners].map((owner) => `data-shard-${owner + 1}`);
    return [String(block), `[${block * blockSamples}, ${end})`, names.join(", ")];
  };
  const listed = Array.from({ length: Math.min(blocks, blocksListed) }, (_, block) => row(block));
  const rest = blocks > blocksListed + 1 ? [["...", "", ""]] : [];
  const last = blocks > blocksListed ? [row(blocks - 1)] : [];
  return aligned([["block", "samples", "owners"], ...listed, ...rest, ...last], 3);
}

/** Columns from `numbersFrom` on are aligned right. */
function aligned(rows: readonly (readonly string[])[], numbersFrom: number): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const cell = (text: string, column: number): string =>
    column < numbersFrom ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(cell).join("  ").trimEnd()}`).join("\n");
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

function shortList(names: readonly string[]): string {
  return names.length <= 12 ? names.join(", ") : `${names.slice(0, 11).join(", ")}, … ${names.at(-1)}`;
}
