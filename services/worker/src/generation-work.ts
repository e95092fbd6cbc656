/** What a member holds for the life of one generation: streams from data-shards and peers, and the vectors they fill. */
import { Collective, type PartialSums, type PeerServer, type Reduced } from "@lockstep/collective";
import { allRuns, lastPosition, type Place, type Plan, type Run, runsFor } from "@lockstep/protocol";
import { BatchesRequest } from "@lockstep/rpc";
import type { Log } from "@lockstep/telemetry";
import { countsLength } from "./counts.js";
import { LaneWork } from "./lane-work.js";
import { MicroBatches } from "./micro-batches.js";
import type { StepWatch } from "./step-watch.js";
import type { Training } from "./training.js";

export interface GenerationOptions {
  readonly training: Training;
  readonly plan: Plan;
  readonly rank: number;
  readonly peers: PeerServer;
  readonly token: string | undefined;
  readonly log: Log;
}

export class GenerationWork {
  readonly plan: Plan;
  readonly rank: number;
  readonly #training: Training;
  readonly #collective: Collective;
  readonly #microBatches: MicroBatches;
  readonly #lanes: LaneWork;

  constructor(options: GenerationOptions) {
    const { training, plan, rank, peers, token, log } = options;
    this.plan = plan;
    this.rank = rank;
    this.#training = training;
    this.#collective = new Collective({
      generation: plan,
      rank,
      addresses: plan.members.map((member) => member.address),
      firstPosition: plan.firstPosition,
      server: peers,
      token,
    });
    this.#microBatches = new MicroBatches({
      shards: plan.shards,
      token,
      requests: batchRequests(training, plan, rank),
      sampleBytes: training.network.input.height * training.network.input.width * training.network.input.channels,
      classes: training.network.classes,
      log,
    });
    this.#lanes = new LaneWork(training);
  }

  /** This member's runs at a place. */
  runsAt(place: Place): Run[] {
    return runsFor(this.plan, this.rank, place);
  }

  /** Begins the reduction of a place, which the others may be waiting for. */
  begin(place: Place): PartialSums {
    const { engine, network } = this.#training;
    return this.#collective.begin({
      position: place.position,
      microBatches: place.microBatches,
      runs: allRuns(this.plan, place),
      vectorLength: place.phase === "train" ? engine.vectorLength : 0,
      countsLength: countsLength(place.phase, network.classes),
    });
  }

  /** Computes this member's micro-batches of a place into `partials`. */
  compute(place: Place, partials: PartialSums, watch: StepWatch): Promise<void> {
    return this.#lanes.compute(place, this.#microBatches.of(place, this.runsAt(place)), partials, watch);
  }

  allReduce(partials: PartialSums, signal: AbortSignal): Promise<Reduced> {
    return this.#collective.allReduce(partials, signal);
  }

  /** The others go on pulling what is left; no more batches come. */
  hold(): void {
    this.#microBatches.close();
  }

  close(): void {
    this.#microBatches.close();
    this.#collective.close();
  }
}

/** What every data-shard is asked for: one request, or two where the first position has runs of its own. */
function batchRequests(training: Training, plan: Plan, rank: number): BatchesRequest[] {
  const member = plan.members[rank];
  if (member === undefined) throw new Error(`the plan has no rank ${rank}`);
  const { firstPosition: first } = plan;
  const end = 1 + (plan.end?.position ?? lastPosition(training.timetable));
  const request = (runs: readonly Run[], firstPosition: number, endPosition: number) =>
    BatchesRequest.fromPartial({
      job: plan.job,
      datasetDigest: training.assignment.datasetDigest,
      shardMapVersion: plan.shards.version,
      firstPosition,
      endPosition,
      runFirst: runs.map((run) => run.first),
      runEnd: runs.map((run) => run.end),
    });
  const sameRuns = JSON.stringify(member.runsAtFirst) === JSON.stringify(member.runsLater);
  const requests = sameRuns
    ? [request(member.runsLater, first, end)]
    : [request(member.runsAtFirst, first, first + 1), request(member.runsLater, first + 1, end)];
  return requests.filter((each) => each.firstPosition < each.endPosition);
}
