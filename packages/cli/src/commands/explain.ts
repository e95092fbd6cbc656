import { findEngine } from "@lockstep/engine";
import { openSource } from "@lockstep/dataset";
import { buildNetwork, layoutOf } from "@lockstep/model";
import { type JobSpec, microBatchSamples, type Normalization, type ResolvedJobSpec } from "@lockstep/spec";
import type { Arguments } from "../arguments.js";
import { exitCodes } from "../exit-codes.js";
import { type Flag, specFlags } from "../flags.js";
import { openTransientSession } from "../session.js";
import { readSpec } from "../spec-source.js";
import type { Command } from "./command.js";

const explainFlags: readonly Flag[] = [
  { group: "Run", name: "spec", value: "FILE", meaning: "job spec in YAML or JSON; flags override its fields" },
  {
    group: "Run",
    name: "json",
    value: undefined,
    meaning: "print the resolved spec and the graph's digest as one JSON object",
  },
];

export const explain: Command = {
  name: "explain",
  meaning: "Check a job and tell what it would run, without running it",
  usage: [
    "lockstep explain DIR [flags]",
    "lockstep explain --spec FILE [flags]",
    "",
    "Reads the dataset, checks the spec and the model, and prints layers with output shapes, parameters and",
    "multiply-adds, the shards, the plan and the digest of the compiled graph. Takes the flags of `lockstep train`.",
  ],
  flags: [...specFlags, ...explainFlags],
  examples: ["lockstep explain photos --workers 2 --data-shards 2", "lockstep explain --spec job.yaml"],
  run: runExplain,
};

/** As the coordinator outlines it: resolved, but for pixels that only a run measures. */
type OutlinedSpec = Omit<ResolvedJobSpec, "preprocess"> & Pick<JobSpec, "preprocess">;

async function runExplain(given: Arguments): Promise<number> {
  const source = await readSpec("explain", given);
  const session = await openTransientSession();
  try {
    const reply = await session.client.explain(source);
    const spec = JSON.parse(reply.specJson) as OutlinedSpec;
    const graph = await compiledGraph(spec);
    const json = `${JSON.stringify({ spec, text: reply.text, ...graph })}\n`;
    process.stdout.write(given.flags.has("json") ? json : `${reply.text.trimEnd()}\n\n${graphText(graph)}`);
    return exitCodes.done;
  } finally {
    await session.close();
  }
}

interface CompiledGraph {
  readonly graphDigest: string;
  readonly engineIdentity: string;
  /** "given", or "stand-in" where a run measures the values that it puts into the graph. */
  readonly normalization: "given" | "stand-in";
}

function graphText({ graphDigest, engineIdentity, normalization }: CompiledGraph): string {
  const note = "  (normalised with mean 0 and std 1 in place of the values that a run measures)\n";
  return [
    "Graph\n",
    `  digest      sha256 ${graphDigest}\n`,
    normalization === "given" ? "" : note,
    `  engine      ${engineIdentity}\n`,
  ].join("");
}

/** What a worker would compile: the coordinator loads no engine, so it is done here. */
async function compiledGraph(spec: OutlinedSpec): Promise<CompiledGraph> {
  const { dataset, training, preprocess } = spec;
  const { classes } = await openSource(dataset.path, dataset.format);
  const network = buildNetwork(spec.model, { channels: dataset.channels, ...dataset.imageSize }, classes.length);
  const eachChannel = (value: number) => Array.from({ length: dataset.channels }, () => value);
  const plain: Normalization = { mean: eachChannel(0), std: eachChannel(1) };
  const engine = await findEngine(spec.engine.name).open({
    network,
    layout: layoutOf(network),
    normalize: typeof preprocess.normalize === "string" ? plain : preprocess.normalize,
    seed: spec.seed,
    microBatchSamples: microBatchSamples(training.batchSize, training.microBatches),
    threads: 1,
    lanesMax: 1,
  });
  await engine.close();
  return {
    graphDigest: engine.digest,
    engineIdentity: engine.identity,
    normalization: preprocess.normalize === "measured" ? "stand-in" : "given",
  };
}
