import { findEngine } from "@lockstep/engine";
import { openSource } from "@lockstep/dataset";
import { buildNetwork, layoutOf } from "@lockstep/model";
import { microBatchSamples, type ResolvedJobSpec } from "@lockstep/spec";
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

async function runExplain(given: Arguments): Promise<number> {
  const source = await readSpec("explain", given);
  const session = await openTransientSession();
  try {
    const reply = await session.client.explain(source);
    const spec = JSON.parse(reply.specJson) as ResolvedJobSpec;
    const graph = await compiledGraph(spec);
    if (given.flags.has("json")) {
      process.stdout.write(`${JSON.stringify({ spec, text: reply.text, ...graph })}\n`);
    } else {
      process.stdout.write(
        `${reply.text.trimEnd()}\n\nGraph\n  digest    sha256 ${graph.graphDigest}\n  engine    ${graph.engineIdentity}\n`,
      );
    }
    return exitCodes.done;
  } finally {
    await session.close();
  }
}

/** What a worker would compile: the coordinator loads no engine, so it is done here. */
async function compiledGraph(spec: ResolvedJobSpec): Promise<{ graphDigest: string; engineIdentity: string }> {
  const { dataset, training } = spec;
  const { classes } = await openSource(dataset.path, dataset.format);
  const network = buildNetwork(spec.model, { channels: dataset.channels, ...dataset.imageSize }, classes.length);
  const engine = await findEngine(spec.engine.name).open({
    network,
    layout: layoutOf(network),
    normalize: spec.preprocess.normalize,
    seed: spec.seed,
    microBatchSamples: microBatchSamples(training.batchSize, training.microBatches),
    threads: 1,
    lanesMax: 1,
  });
  const graph = { graphDigest: engine.digest, engineIdentity: engine.identity };
  await engine.close();
  return graph;
}
