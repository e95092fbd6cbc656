import { type ArchitectureName, type LayerSpec, type ModelSpec, resolveParameters } from "@lockstep/spec";
import type { NetworkInput } from "../network.js";
import type { Architecture } from "./architecture.js";
import { simpleCnn } from "./simple-cnn.js";
import { smallCnn } from "./small-cnn.js";

/** Every architecture that a spec may name. */
export const architectures: Readonly<Record<ArchitectureName, Architecture>> = {
  "simple-cnn": simpleCnn,
  "small-cnn": smallCnn,
} satisfies Record<ArchitectureName, Architecture>;

/**
 * The layers of a named architecture, with defaults for parameters that the spec leaves out.
 * @throws InputError for a parameter that the architecture does not have, or outside its range
 */
export function layersOf(
  model: Extract<ModelSpec, { architecture: ArchitectureName }>,
  input: NetworkInput,
  classes: number,
): LayerSpec[] {
  const parameters = resolveParameters(model.architecture, model.parameters);
  return architectures[model.architecture].layers(input, classes, parameters);
}
