export { dealRuns } from "./deal.js";
export { formPlan } from "./forming.js";
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
export { chainDigest, hash64 } from "./hash64.js";
export { lossUnit } from "./loss-unit.js";
export { advanceMember, newMember } from "./member.js";
export { advanceMembership, newMembership } from "./membership.js";
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
export { assertTiling, childrenOf, maximalSubtrees } from "./reduction-tree.js";
export type { Answer, Formed, Forming } from "./forming.js";
export type { Ballot, Member, Plan, PlanContent, PlanEnd, PlanMessage, ShardMap } from "./generation.js";
export type {
  ArtifactName,
  FrozenMessage,
  Held,
  MemberInput,
  MemberMessage,
  MemberOutput,
  MemberState,
  MemberStep,
  Standing,
} from "./member.js";
export type {
  Attaching,
  Ending,
  MembershipInput,
  MembershipLimits,
  MembershipOptions,
  MembershipOutput,
  MembershipState,
  MembershipStep,
  Stage,
  Suspicion,
  WorkerView,
} from "./membership-state.js";
export type { Phase, Place, Range, Timetable } from "./position.js";
export type { Run } from "./reduction-tree.js";
