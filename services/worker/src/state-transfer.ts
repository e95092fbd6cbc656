/** What peers and the coordinator pull from this worker: its training state and published files, as bytes. */
import type { PeerAnswers } from "@lockstep/collective";
import { packState, sha256, type TrainingState } from "@lockstep/model";
import {
  type ArtifactRequest,
  bulkPieceBytes,
  crc32c,
  Frame,
  FrameKind,
  RpcError,
  type StateRequest,
  Status,
} from "@lockstep/rpc";
import type { Checkpointer } from "./checkpointer.js";

export interface TransferSource {
  readonly job: string;
  /** Undefined before the assignment. */
  state(): TrainingState | undefined;
  readonly checkpointer: Checkpointer;
}

export function answersOf(source: TransferSource): PeerAnswers {
  return {
    state: (request) => framesOf(request, request.position, stateAt(source, request)),
    artifact: (request) => framesOf(request, 0, artifactOf(source, request)),
  };
}

/** S(position) as it is now: a copy, so that it may be sent while training goes on. */
function stateAt(source: TransferSource, request: StateRequest): Uint8Array {
  const state = source.state();
  if (request.job !== source.job || state?.position !== request.position) {
    const held = state === undefined ? "no state" : `position ${state.position}`;
    throw new RpcError(Status.FAILED_PRECONDITION, `This worker holds ${held}, not position ${request.position}.`);
  }
  const bytes = packState(state);
  if (request.digest !== "" && request.digest !== sha256([bytes])) {
    throw new RpcError(Status.FAILED_PRECONDITION, `The state of position ${request.position} is not the one begun.`);
  }
  return bytes;
}

function artifactOf(source: TransferSource, request: ArtifactRequest): Uint8Array {
  const bytes = source.checkpointer.file(request.name);
  if (request.job !== source.job || bytes === undefined) {
    throw new RpcError(Status.NOT_FOUND, `This worker has published no file "${request.name}".`);
  }
  return bytes;
}

/** From the offset asked for to the end; one frame at least, so that an empty rest is told from a lost stream. */
async function* framesOf(
  request: { readonly job: string; readonly offset: number },
  position: number,
  bytes: Uint8Array,
): AsyncGenerator<Frame, void, undefined> {
  if (request.offset > bytes.length) {
    throw new RpcError(Status.INVALID_ARGUMENT, `Offset ${request.offset} is beyond ${bytes.length} bytes.`);
  }
  let offset = request.offset;
  do {
    const payload = bytes.subarray(offset, offset + bulkPieceBytes);
    yield Frame.create({
      kind: FrameKind.BYTES,
      job: request.job,
      position,
      offset,
      total: bytes.length,
      crc32c: crc32c(payload),
      payload,
    });
    offset += payload.length;
  } while (offset < bytes.length);
}
