/**
 * The services of proto/lockstep/v1 as grpc-js takes them. Streams of Frame and Batch use the codec of bulk.ts, which
 * puts the same bytes on the wire as the generated one without copying the payload on the way in.
 */
import { makeGenericClientConstructor } from "@grpc/grpc-js";
import { batchParts, decodeBatch, decodeFrame, encodeBatch, encodeFrame, frameParts } from "./bulk.js";
import { type PeerServiceClient as GeneratedPeerClient, PeerServiceService } from "./gen/lockstep/v1/collective.js";
import { type DataServiceClient as GeneratedDataClient, DataServiceService } from "./gen/lockstep/v1/data.js";

const frames = { responseSerialize: encodeFrame, responseDeserialize: decodeFrame, responseParts: frameParts } as const;
const batches = {
  responseSerialize: encodeBatch,
  responseDeserialize: decodeBatch,
  responseParts: batchParts,
} as const;

export const peerService = {
  ...PeerServiceService,
  exchange: { ...PeerServiceService.exchange, ...frames },
  state: { ...PeerServiceService.state, ...frames },
  artifact: { ...PeerServiceService.artifact, ...frames },
} as const;

export const dataService = {
  ...DataServiceService,
  batches: { ...DataServiceService.batches, ...batches },
} as const;

export type PeerServiceClient = GeneratedPeerClient;
export const PeerServiceClient = makeGenericClientConstructor(
  peerService,
  "lockstep.v1.PeerService",
) as unknown as typeof GeneratedPeerClient;

export type DataServiceClient = GeneratedDataClient;
export const DataServiceClient = makeGenericClientConstructor(
  dataService,
  "lockstep.v1.DataService",
) as unknown as typeof GeneratedDataClient;
