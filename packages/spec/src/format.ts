import { stringify } from "yaml";
import type { JobSpec } from "./job-spec.js";

/** A spec as YAML that parseJobSpec reads back to the same spec: the form of a run's spec.yaml. */
export function formatSpec(spec: JobSpec): string {
  return stringify(spec, { lineWidth: 120, aliasDuplicateObjects: false });
}
