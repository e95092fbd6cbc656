/**
 * A generation: who computes what from which position on. Its number is a ballot, its content a plan, and the plan's hash
 * stands in every bulk message, so that sums of two plans never meet (R4).
 *
 * The types have the fields of proto/lockstep/v1/membership.proto, so a plan goes onto the wire as it is. Arrays of a plan
 * are never changed once it is made.
 */
import { hash64 } from "./hash64.js";
import type { Place } from "./position.js";
import type { Run } from "./reduction-tree.js";

/** A generation's number: the coordinator's incarnation, then a counter. Compared in that order. */
export interface Ballot {
  readonly incarnation: number;
  readonly counter: number;
}

/** Below every ballot that a coordinator issues. */
export const noBallot: Ballot = { incarnation: 0, counter: 0 };

export interface Member {
  /** uuid */
  readonly worker: string;
  /** host:port of its PeerService */
  readonly address: string;
  /** For the plan's first position: who survived keeps what it has computed (R7). */
  readonly runsAtFirst: Run[];
  /** For every later position. */
  readonly runsLater: Run[];
  /** Address to pull S(firstPosition - 1) from when behind; empty: the member has it. */
  readonly stateSource: string;
}

/** Members stop at this position although the timetable has more (R11). */
export interface PlanEnd {
  readonly position: number;
  readonly why: string;
}

/** Who serves which block of samples. */
export interface ShardMap {
  readonly version: number;
  readonly blockSamples: number;
  /** host:port of DataService, by shard index */
  readonly addresses: string[];
  readonly ownersPerBlock: number;
  /** Owners of block b: owners[b * ownersPerBlock ..], the one asked first leading. */
  readonly owners: number[];
}

export interface PlanContent {
  readonly job: string;
  readonly ballot: Ballot;
  /** In rank order; member k owns segment k. */
  readonly members: Member[];
  readonly firstPosition: number;
  readonly end: PlanEnd | undefined;
  readonly shards: ShardMap;
}

export interface Plan extends PlanContent {
  /** Hash of everything else. */
  readonly planHash: bigint;
}

/** A plan as it comes off the wire, where every message field may be missing. */
export interface PlanMessage extends Omit<PlanContent, "ballot" | "shards"> {
  readonly ballot: Ballot | undefined;
  readonly shards: ShardMap | undefined;
  readonly planHash: bigint;
}

/** Below 0: `a` is older than `b`; 0: the same generation; above 0: newer. */
export function compareBallots(a: Ballot, b: Ballot): number {
  return a.incarnation === b.incarnation ? a.counter - b.counter : a.incarnation - b.incarnation;
}

/** "3.17": incarnation 3, counter 17. */
export function formatBallot(ballot: Ballot): string {
  return `${ballot.incarnation}.${ballot.counter}`;
}

/** @throws when a message came without its ballot. */
export function requireBallot(ballot: Ballot | undefined): Ballot {
  if (ballot === undefined) throw new Error("A membership message came without its ballot.");
  return ballot;
}

/** Gives a plan its hash. */
export function makePlan(content: PlanContent): Plan {
  return { ...content, planHash: planHash(content) };
}

/** @throws when a field is missing or the content does not have the hash that came with it. */
export function readPlan(message: PlanMessage): Plan {
  const { shards } = message;
  const ballot = requireBallot(message.ballot);
  const what = `The plan of generation ${formatBallot(ballot)}`;
  if (shards === undefined) throw new Error(`${what} came without a shard map.`);
  if (message.members.length === 0) throw new Error(`${what} came without members.`);
  const plan: Plan = { ...message, ballot, shards };
  if (planHash(plan) !== plan.planHash) throw new Error(`${what} does not have the hash that came with it.`);
  return plan;
}

/** Every field counts, lists behind their length, so that no two plans are the same words. */
export function planHash(plan: PlanContent): bigint {
  const { end, shards } = plan;
  return hash64([
    plan.job,
    plan.ballot.incarnation,
    plan.ballot.counter,
    plan.firstPosition,
    plan.members.length,
    ...plan.members.flatMap(memberWords),
    end === undefined ? 0 : 1,
    end?.position ?? 0,
    end?.why ?? "",
    shards.version,
    shards.blockSamples,
    shards.ownersPerBlock,
    shards.addresses.length,
    ...shards.addresses,
    shards.owners.length,
    ...shards.owners,
  ]);
}

function memberWords(member: Member): (string | number)[] {
  const { worker, address, runsAtFirst, runsLater, stateSource } = member;
  return [worker, address, ...runWords(runsAtFirst), ...runWords(runsLater), stateSource];
}

function runWords(runs: readonly Run[]): number[] {
  return [runs.length, ...runs.flatMap((run) => [run.first, run.end])];
}

/** Rank of a worker in a plan; undefined: it is no member. */
export function rankOf(plan: PlanContent, worker: string): number | undefined {
  const rank = plan.members.findIndex((member) => member.worker === worker);
  return rank === -1 ? undefined : rank;
}

/**
 * The micro-batches that a member computes at one place: its runs, cut to the place's micro-batches. Empty on a short
 * batch whose micro-batches all fall to others.
 */
export function runsFor(plan: PlanContent, rank: number, place: Pick<Place, "position" | "microBatches">): Run[] {
  const member = plan.members[rank];
  if (member === undefined) throw new Error(`Generation ${formatBallot(plan.ballot)} has no rank ${rank}.`);
  const runs = place.position === plan.firstPosition ? member.runsAtFirst : member.runsLater;
  return runs
    .map((run) => ({ first: run.first, end: Math.min(run.end, place.microBatches) }))
    .filter((run) => run.first < run.end);
}

/** runsFor of every member, in rank order. */
export function allRuns(plan: PlanContent, place: Pick<Place, "position" | "microBatches">): Run[][] {
  return plan.members.map((_member, rank) => runsFor(plan, rank, place));
}
