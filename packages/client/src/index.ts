export { JobClient } from "./client.js";
export { coordinatorKillMs, isLoopback, JobPhase, parseAddress, RpcError, Status } from "@lockstep/rpc";
export type { SequencedEvent, SubmittedSpec } from "./client.js";
export type { Address, ExplainReply, Job } from "@lockstep/rpc";
