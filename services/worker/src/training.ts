/** What a worker trains: everything that stays the same for the job, and the state that changes. */
import { availableParallelism } from "node:os";
import { type Engine, findEngine } from "@lockstep/engine";
import { buildNetwork, initialState, type Layout, layoutOf, type Network, type TrainingState } from "@lockstep/model";
import {
  lastPosition,
  locate,
  microBatchRange,
  microBatchSamples,
  type Phase,
  phaseSteps,
  type Place,
  type Timetable,
} from "@lockstep/protocol";
import type { Assignment } from "@lockstep/rpc";
import { InputError, parseJobSpec, type ResolvedJobSpec } from "@lockstep/spec";

export interface Job {
  readonly assignment: Assignment;
  readonly spec: ResolvedJobSpec;
  readonly timetable: Timetable;
  readonly network: Network;
  readonly layout: Layout;
  /** S(position): written by step.ts alone, through packages/model. */
  readonly state: TrainingState;
}

export interface Training extends Job {
  readonly engine: Engine;
  /** Micro-batches that may be in flight: enough for every lane to have its next one waiting. */
  readonly inFlightMax: number;
}

/** @throws InputError where spec or model are not what this build knows */
export function prepareJob(assignment: Assignment): Job {
  const spec = resolvedSpecOf(assignment);
  const { imageSize, channels } = spec.dataset;
  const network = buildNetwork(spec.model, { channels, ...imageSize }, assignment.classes.length);
  const layout = layoutOf(network);
  const { epochs, batchSize, microBatches } = spec.training;
  const { trainSamples, validationSamples, testSamples } = assignment;
  return {
    assignment,
    spec,
    timetable: { trainSamples, validationSamples, testSamples, epochs, batchSize, microBatches },
    network,
    layout,
    state: initialState(network, layout, spec.optimizer, spec.seed),
  };
}

function resolvedSpecOf(assignment: Assignment): ResolvedJobSpec {
  const origin = `spec of job ${assignment.job}`;
  const spec = parseJobSpec(assignment.specJson, { origin, baseFolder: "/" });
  const { dataset, preprocess, training } = spec;
  const { format, imageSize, channels } = dataset;
  const isOpen =
    [format, imageSize, channels, training.microBatches].includes("auto") || typeof preprocess.normalize === "string";
  if (!isOpen) return spec as ResolvedJobSpec;
  throw new InputError({ where: origin, found: "fields left to decide", allowed: "a resolved spec" });
}

/** Opens the engine and makes it ready for every size of micro-batch that the timetable holds. */
export async function openTraining(job: Job): Promise<Training> {
  const { spec, network, layout, timetable, assignment } = job;
  const threads = assignment.threads === 0 ? availableParallelism() : assignment.threads;
  const largestRun = Math.ceil(timetable.microBatches / spec.cluster.workers);
  const engine = await findEngine(spec.engine.name).open({
    network,
    layout,
    normalize: spec.preprocess.normalize,
    seed: spec.seed,
    microBatchSamples: microBatchSamples(timetable),
    threads,
    lanesMax: largestRun,
  });
  const training = sizesIn(timetable, ["train"]);
  const evaluation = sizesIn(timetable, ["validation", "test"]);
  await engine.warm({ training, evaluation });
  return { ...job, engine, inFlightMax: 2 * Math.min(threads, largestRun) };
}

/** Samples of the micro-batches of these phases: full ones, and the last one of a last, short batch. */
function sizesIn(timetable: Timetable, phases: readonly Phase[]): number[] {
  const sizes = new Set<number>();
  for (const phase of phases) {
    if (phaseSteps(timetable, phase) === 0) continue;
    const place = lastPlaceOf(timetable, phase);
    const last = microBatchRange(timetable, place, place.microBatches - 1);
    sizes.add(last.end - last.first);
    if (place.steps > 1 || place.microBatches > 1) sizes.add(microBatchSamples(timetable));
  }
  return [...sizes];
}

/** The last place of a phase in the first epoch that has it. */
function lastPlaceOf(timetable: Timetable, phase: Phase): Place {
  const train = phaseSteps(timetable, "train");
  if (phase === "train") return locate(timetable, train);
  if (phase === "validation") return locate(timetable, train + phaseSteps(timetable, "validation"));
  return locate(timetable, lastPosition(timetable));
}
