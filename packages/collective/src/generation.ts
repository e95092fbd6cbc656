/** What every message of the collective is checked against: the generation that it belongs to. */
import type { Ballot } from "@lockstep/rpc";

export interface Generation {
  readonly job: string;
  readonly ballot: Ballot;
  /** Hash of the plan that made it. */
  readonly planHash: bigint;
}

/** Negative when `a` is older than `b`: incarnation first, then counter. */
export function compareBallots(a: Ballot, b: Ballot): number {
  return a.incarnation - b.incarnation || a.counter - b.counter;
}

export function sameGeneration(
  a: Generation,
  b: { job: string; ballot: Ballot | undefined; planHash: bigint },
): boolean {
  return (
    b.ballot !== undefined && compareBallots(a.ballot, b.ballot) === 0 && a.planHash === b.planHash && a.job === b.job
  );
}

export function ballotText(ballot: Ballot | undefined): string {
  return ballot === undefined ? "none" : `${ballot.incarnation}.${ballot.counter}`;
}
