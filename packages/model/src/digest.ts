import { createHash } from "node:crypto";
import { littleEndianBytes } from "./little-endian.js";
import { stateParts } from "./state-bytes.js";
import type { TrainingState } from "./training-state.js";

/** SHA-256 (hex) of the packed state: everything that the next step depends on. */
export function stateDigest(state: TrainingState): string {
  return sha256(stateParts(state));
}

/** SHA-256 (hex) of the parameters' little-endian bytes, then the statistics': what a model is, without its optimiser. */
export function parametersSha256(state: Pick<TrainingState, "parameters" | "statistics">): string {
  return sha256([littleEndianBytes(state.parameters), littleEndianBytes(state.statistics)]);
}

/** SHA-256 (hex) of the pieces in order. */
export function sha256(pieces: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}
