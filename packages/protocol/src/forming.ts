/** From the answers to Freeze(b), and from nothing else, to what follows: plan b, or why there is none. */
import { dealRuns } from "./deal.js";
import { type Ballot, formatBallot, makePlan, type Member, type Plan, type ShardMap } from "./generation.js";
import type { Held } from "./member.js";

/** A worker that answered Freeze(b). */
export interface Answer {
  readonly worker: string;
  /** For people: "worker-2". */
  readonly name: string;
  /** Place in rank order among those of a generation. */
  readonly order: number;
  readonly address: string;
  /** Undefined: it has no complete state. */
  readonly held: Held | undefined;
}

export interface Forming {
  readonly job: string;
  readonly ballot: Ballot;
  readonly microBatches: number;
  readonly shards: ShardMap;
  /** Why the job is to stop where it stands; undefined: it goes on. */
  readonly stop: string | undefined;
}

export type Formed =
  | { readonly type: "plan"; readonly plan: Plan; readonly reason: string }
  /** Nothing that could be planned or saved. */
  | { readonly type: "nothing"; readonly reason: string }
  /** Members at one position hold different states: whatever is saved may be wrong (I1). */
  | { readonly type: "alarm"; readonly reason: string };

/** R5: f = 1 + the furthest position. A plan that stops the job ends at the first position not before what anyone applied. */
export function formPlan(forming: Forming, answers: readonly Answer[]): Formed {
  const furthest = answers.reduce((most, { held }) => Math.max(most, held?.position ?? -1), -1);
  if (furthest < 0) return { type: "nothing", reason: "no worker has a complete state" };
  const ahead = answers.filter(({ held }) => held?.position === furthest);
  const unlike = ahead.find(({ held }) => held?.chain !== ahead[0]?.held?.chain);
  if (unlike !== undefined) {
    const reason = `${ahead[0]?.name} and ${unlike.name} hold different states after position ${furthest}`;
    return { type: "alarm", reason };
  }
  if (forming.stop !== undefined && furthest === 0) return { type: "nothing", reason: "nothing was trained yet" };
  // Nobody pulls a state only to hold it: a plan that ends where the furthest stand has only them as members.
  const chosen = (forming.stop === undefined ? answers : ahead).toSorted((a, b) => a.order - b.order);
  const members = chosen.slice(0, forming.microBatches);
  const plan = makePlan({
    job: forming.job,
    ballot: forming.ballot,
    members: membersOf(members, ahead, furthest, forming.microBatches),
    firstPosition: furthest + 1,
    end: forming.stop === undefined ? undefined : { position: furthest, why: forming.stop },
    shards: forming.shards,
  });
  const ends = plan.end === undefined ? "" : `, ends at ${furthest}: ${plan.end.why}`;
  const from = `generation ${formatBallot(plan.ballot)} of ${members.length} from position ${plan.firstPosition}`;
  return { type: "plan", plan, reason: `${from}${ends}` };
}

function membersOf(
  chosen: readonly Answer[],
  ahead: readonly Answer[],
  furthest: number,
  microBatches: number,
): Member[] {
  const runs = dealRuns(microBatches, chosen.length);
  return chosen.map((answer, rank) => {
    const run = runs.slice(rank, rank + 1);
    // Sources in turn, so that no member serves all who are behind.
    const stateSource = answer.held?.position === furthest ? "" : (ahead[rank % ahead.length]?.address ?? "");
    return { worker: answer.worker, address: answer.address, runsAtFirst: run, runsLater: run, stateSource };
  });
}
