/**
 * Pulls one peer's stream for the life of a generation and hands each frame over. A broken stream is opened again once
 * before the peer counts as lost (R8); a refusal is final.
 */
import { formatBallot } from "@lockstep/protocol";
import { ExchangeRequest, RpcError, Status, peerService, pullFrames, type Frame, type FrameSink } from "@lockstep/rpc";
import { sameGeneration, type Generation } from "./generation.js";

/** Why a peer's part is missing. */
export type PeerFault =
  /** Its stream broke twice, or its process is gone. */
  | "lost"
  /** Its stream is open and nothing comes. */
  | "silent"
  /** It has promised a newer generation or holds another plan: this worker's generation is over. */
  | "refused"
  /** It sent something that no correct peer sends, or damaged bytes. */
  | "wrong";

/** A peer without which a position cannot be reduced. The sentence names it. */
export class PeerError extends Error {
  readonly fault: PeerFault;
  readonly rank: number;
  readonly address: string;

  constructor(peer: { rank: number; address: string }, fault: PeerFault, why: string, cause?: unknown) {
    super(`rank ${peer.rank} at ${peer.address} ${why}`, { cause });
    this.name = "PeerError";
    this.fault = fault;
    this.rank = peer.rank;
    this.address = peer.address;
  }
}

export interface PeerClientOptions {
  readonly generation: Generation;
  /** This member's rank. */
  readonly ownRank: number;
  readonly peer: { readonly rank: number; readonly address: string };
  readonly token?: string | undefined;
  /** The first position that is not yet reduced here: where a stream begins. */
  readonly nextPosition: () => number;
  /** Says where payloads go and takes them. */
  readonly sink: FrameSink;
}

/** Runs until the signal is aborted (resolves) or the peer fails (throws PeerError). */
export async function pullFrom(options: PeerClientOptions, signal: AbortSignal): Promise<void> {
  const { generation, peer } = options;
  let mayOpenAgain = true;
  const sink: FrameSink = {
    place: (frame, payloadBytes) => {
      checkFrame(frame, generation, peer);
      return options.sink.place(frame, payloadBytes);
    },
    placed: (frame, payload) => {
      options.sink.placed(frame, payload);
      mayOpenAgain = true;
    },
  };
  while (!signal.aborted) {
    try {
      await pullFrames(streamOf(options, signal), sink);
      throw new RpcError(Status.UNAVAILABLE, "it ended the stream");
    } catch (thrown) {
      if (signal.aborted) return;
      const fault = faultOf(thrown);
      if (fault === "lost" && mayOpenAgain) mayOpenAgain = false;
      else throw thrown instanceof PeerError ? thrown : peerError(peer, fault, thrown);
    }
  }
}

function streamOf(options: PeerClientOptions, signal: AbortSignal): Parameters<typeof pullFrames>[0] {
  const { generation, ownRank, peer, token } = options;
  const request = ExchangeRequest.encode({
    job: generation.job,
    ballot: generation.ballot,
    planHash: generation.planHash,
    rank: ownRank,
    firstPosition: options.nextPosition(),
  }).finish();
  return { address: peer.address, path: peerService.exchange.path, request, token, what: "exchange", signal };
}

function checkFrame(frame: Frame, generation: Generation, peer: { rank: number; address: string }): void {
  if (sameGeneration(generation, frame)) return;
  const ballotText = frame.ballot === undefined ? "none" : formatBallot(frame.ballot);
  const found = `generation ${ballotText} of job ${frame.job}`;
  throw new PeerError(peer, "wrong", `sent a frame of ${found}, not ${formatBallot(generation.ballot)}`);
}

function faultOf(thrown: unknown): PeerFault {
  if (thrown instanceof PeerError) return thrown.fault;
  if (!(thrown instanceof RpcError) || thrown.code === Status.DATA_LOSS) return "wrong";
  const final: readonly Status[] = [Status.FAILED_PRECONDITION, Status.UNAUTHENTICATED, Status.INVALID_ARGUMENT];
  return final.includes(thrown.code) ? "refused" : "lost";
}

function peerError(peer: { rank: number; address: string }, fault: PeerFault, thrown: unknown): PeerError {
  const sentence = thrown instanceof Error ? thrown.message : String(thrown);
  const verb = fault === "wrong" ? "sent" : fault === "refused" ? "refuses:" : "is lost:";
  return new PeerError(peer, fault, `${verb} ${sentence}`, thrown);
}
