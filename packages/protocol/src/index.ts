export { chainDigest, hash64 } from "./hash64.js";
export { dealRuns, maximalSubtrees } from "./deal.js";
export type { Run } from "./deal.js";
export {
  allRuns,
  compareBallots,
  formatBallot,
  makePlan,
  noBallot,
  planHash,
  rankOf,
  readPlan,
  requireBallot,
  runsFor,
} from "./generation.js";
export type { Ballot, Member, Plan, PlanContent, PlanEnd, PlanMessage, ShardMap } from "./generation.js";
export {
  epochEnd,
  lastPosition,
  locate,
  microBatchRange,
  microBatchSamples,
  phaseSamples,
  phaseSteps,
  trainingSteps,
} from "./position.js";
export type { Phase, Place, Range, Timetable } from "./position.js";
export { advanceMember, newMember } from "./member.js";
export type { Held, MemberInput, MemberOutput, MemberState, MemberStep, Standing } from "./member.js";
export { advanceMembership, newMembership } from "./membership.js";
export type {
  Attached,
  MembershipInput,
  MembershipOptions,
  MembershipOutput,
  MembershipState,
  MembershipStep,
  Stage,
  Stop,
} from "./membership.js";
