/** The table of contents of training. */
import { applyEvaluation, applyUpdate } from "@lockstep/model";
import type { Place } from "@lockstep/protocol";
import type { PositionRecord } from "@lockstep/rpc";
import { nextChain } from "./chain.js";
import { totalsOf } from "./counts.js";
import type { GenerationWork } from "./generation-work.js";
import { recordOf, refuseNotFinite } from "./record.js";
import type { StepWatch } from "./step-watch.js";
import type { Training } from "./training.js";

/**
 * ONE position: S(position - 1) to S(position). The state changes after the last await, all at once: an error or an abort
 * before leaves it as it was.
 * @throws JobFault when the loss is not finite; what a data-shard, the engine or a peer throws; the signal's reason
 */
export async function step(
  training: Training,
  generation: GenerationWork,
  place: Place,
  watch: StepWatch,
  signal: AbortSignal,
): Promise<PositionRecord> {
  const { state, engine, layout, spec } = training;
  watch.enter("compute");
  engine.load(state.parameters, state.statistics);
  const partials = generation.begin(place);
  await generation.compute(place, partials, watch);

  watch.enter("reduce");
  const reduced = await generation.allReduce(partials, signal); // whole or not at all
  const totals = totalsOf(reduced.counts);
  refuseNotFinite(place, totals);

  watch.enter("apply"); // refused when frozen meanwhile (R1); from here on no await (R3)
  if (place.phase === "train") applyUpdate(state, { ...reduced, samples: totals.samples }, layout, spec.optimizer);
  else applyEvaluation(state);
  state.chain = nextChain(state.chain, reduced);
  return recordOf(training, place, totals, watch.finish());
}
