/** The hash that ties workers, checkpoints and plans to one spec. Two specs with the same hash ask for the same weights. */
import { createHash } from "node:crypto";
import type { ResolvedJobSpec } from "./job-spec.js";

export interface SpecHash {
  /** 64 hex digits. */
  readonly sha256: string;
  /** The first 8 bytes, big-endian. */
  readonly first64: bigint;
}

/** Over canonical JSON of what weights depend on: the name, the cluster, the dataset's place and `determinism` are left out. */
export function specHash(spec: ResolvedJobSpec): SpecHash {
  const { dataset, seed, preprocess, augmentation, model, optimizer, training, engine } = spec;
  const { path: _place, ...content } = dataset;
  const weighty = { dataset: content, seed, preprocess, augmentation, model, optimizer, training, engine };
  const sha256 = createHash("sha256").update(canonicalJson(weighty)).digest("hex");
  return { sha256, first64: BigInt(`0x${sha256.slice(0, 16)}`) };
}

/** JSON with sorted keys and no spaces; undefined fields are left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(",")}}`;
}
