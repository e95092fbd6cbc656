/** What every message of the collective is checked against: the generation that it belongs to. */
import { compareBallots, type Ballot } from "@lockstep/protocol";

export interface Generation {
  readonly job: string;
  readonly ballot: Ballot;
  /** Hash of the plan that made it. */
  readonly planHash: bigint;
}

export function sameGeneration(
  a: Generation,
  b: { job: string; ballot: Ballot | undefined; planHash: bigint },
): boolean {
  return (
    b.ballot !== undefined && compareBallots(a.ballot, b.ballot) === 0 && a.planHash === b.planHash && a.job === b.job
  );
}
