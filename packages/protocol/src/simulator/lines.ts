/** How states and plans read in a conversation. */
import { type Ballot, formatBallot, noBallot, type Plan } from "../generation.js";
import type { Held } from "../member.js";

/** Where a plan begins and ends, then its members in rank order. */
export function planLines(plan: Plan): string[] {
  const end = plan.end === undefined ? "" : `, ends at ${plan.end.position}: ${plan.end.why}`;
  const members = plan.members.map(({ worker, runsLater, stateSource }, rank) => {
    const runs = runsLater.map((run) => `[${run.first}, ${run.end})`).join(" ");
    return `rank ${rank} ${worker} ${runs}${stateSource === "" ? "" : ` state from ${stateSource}`}`;
  });
  return [`from position ${plan.firstPosition}${end}`, ...members];
}

export function heldText(held: Held | undefined): string {
  return held === undefined ? "no state" : `at ${held.position} of ${held.lastPosition}`;
}

export function promisedText(promised: Ballot): string {
  return promised === noBallot ? "" : `, promised ${formatBallot(promised)}`;
}
