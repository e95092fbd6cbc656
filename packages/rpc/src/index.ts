export { JobServiceClient, JobServiceService as jobService } from "./gen/lockstep/v1/jobs.js";
export {
  MembershipServiceClient,
  MembershipServiceService as membershipService,
} from "./gen/lockstep/v1/membership.js";
export { DataServiceClient, PeerServiceClient, dataService, peerService } from "./services.js";
export type { JobServiceServer } from "./gen/lockstep/v1/jobs.js";
export type { MembershipServiceServer } from "./gen/lockstep/v1/membership.js";
export type { PeerServiceServer } from "./gen/lockstep/v1/collective.js";
export type { DataServiceServer } from "./gen/lockstep/v1/data.js";

// Messages: each name is both the type and its codec { encode, decode, create, fromPartial }.
export {
  ExplainReply,
  Job,
  JobEvent,
  JobPhase,
  JobRequest,
  ListReply,
  ListRequest,
  SubmitRequest,
  WatchRequest,
} from "./gen/lockstep/v1/jobs.js";
export {
  Acknowledge,
  Ahead,
  Announce,
  ArtifactName,
  Assignment,
  Ballot,
  Done,
  Failed,
  Freeze,
  Frozen,
  Heartbeat,
  Hello,
  Leave,
  ManifestPiece,
  ManifestRequest,
  Measure,
  Measured,
  Member,
  Plan,
  PlanEnd,
  Publish,
  Published,
  Record as PositionRecord,
  Run,
  ShardAssignment,
  ShardFailed,
  ShardHeartbeat,
  ShardHello,
  ShardMap,
  ShardMessage,
  ShardOrder,
  ShardReady,
  Suspect,
  WorkerMessage,
  WorkerOrder,
} from "./gen/lockstep/v1/membership.js";
export {
  ArtifactRequest,
  ExchangeRequest,
  Frame,
  FrameKind,
  ProbeReply,
  ProbeRequest,
  StateRequest,
} from "./gen/lockstep/v1/collective.js";
export { Batch, BatchesRequest } from "./gen/lockstep/v1/data.js";

export { type Address, advertisedAddress, formatAddress, isLoopback, parseAddress, reachableHere } from "./address.js";
export { decodeBatch, decodeFrame, encodeBatch, encodeFrame } from "./bulk.js";
export { pullFrames } from "./bulk-client.js";
export { AttachedStream } from "./attached-stream.js";
export { callUnary, readStream } from "./call.js";
export { crc32c } from "./crc32c.js";
export { openClient } from "./channel.js";
export { collectInOneGo } from "./collection.js";
export { defaultListenAddress, startServer } from "./server.js";
export { RpcError, Status } from "./status.js";
export { duplexMethod, sendMessage, streamMethod, unaryMethod } from "./stream.js";
export { bulkPieceBytes, messageBytesMax } from "./limits.js";
export {
  coordinatorEndMsMax,
  coordinatorKillMs,
  failedMsMax,
  holdMsMax,
  peerWaitMs,
  pullMsMax,
  sessionsMsMax,
} from "./waits.js";
export { Wakeups } from "./wakeups.js";
export type { FrameSink, PullOptions } from "./bulk-client.js";
export type { AttachedStreamOptions } from "./attached-stream.js";
export type { CallLimits, UnaryMethod } from "./call.js";
export type { ListenOptions, RunningServer, ServedService } from "./server.js";
export type { CallContext } from "./stream.js";
