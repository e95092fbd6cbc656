/** The worker's log lines about steps, aligned; docs/logs.md explains each column. */
import { lossUnit, microBatchRange, type Place, type Run, type Timetable } from "@lockstep/protocol";
import type { PositionRecord } from "@lockstep/rpc";
import type { SampledMicroBatch } from "./micro-batches.js";

/** One line a step, at level debug. */
export function stepLine(place: Place, runs: readonly Run[], record: PositionRecord): string {
  const loss = Number(record.loss) / lossUnit / record.samples;
  const [wait = 0, compute = 0, reduce = 0, apply = 0] = record.phaseMs;
  return [
    `position ${pad(place.position, 6)}`,
    `epoch ${pad(place.epoch + 1, 3)}`,
    `${place.phase.padEnd(10)} ${pad(place.index + 1, 5)}/${String(place.steps).padEnd(5)}`,
    `of ${pad(place.microBatches, 4)} runs ${runsText(runs).padEnd(7)}`,
    `loss ${loss.toFixed(4).padStart(8)}`,
    `correct ${pad(record.correct, 5)}/${String(record.samples).padEnd(5)}`,
    `ms wait ${ms(wait)} compute ${ms(compute)} reduce ${ms(reduce)} apply ${ms(apply)}`,
    `rate ${record.learningRate}`,
  ].join("  ");
}

/** One line a micro-batch, at level trace: the sample indices it is made of, and their place in the phase's order. */
export function samplesLine(timetable: Timetable, place: Place, batch: SampledMicroBatch): string {
  const { first } = microBatchRange(timetable, place, batch.microBatch);
  return `samples epoch ${place.epoch + 1} ${place.phase} from ${first}: ${batch.indices.join(" ")}`;
}

/** "0-3,6-7"; "-": none. */
function runsText(runs: readonly Run[]): string {
  return runs.length === 0 ? "-" : runs.map((run) => `${run.first}-${run.end - 1}`).join(",");
}

function pad(value: number, width: number): string {
  return String(value).padStart(width);
}

function ms(value: number): string {
  return value.toFixed(1).padStart(6);
}
