import { type ArchitectureName, InputError, type LayerSpec, type ModelSpec } from "@lockstep/spec";
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
  const architecture = architectures[model.architecture];
  const known = Object.keys(architecture.parameters);
  for (const name of Object.keys(model.parameters)) {
    if (known.includes(name)) continue;
    throw new InputError({
      where: `model.parameters.${name}`,
      found: `a parameter that ${model.architecture} does not have`,
      allowed: known.length === 0 ? "no parameters" : known.join(", "),
    });
  }
  const parameters: Record<string, number> = {};
  for (const [name, { default: fallback, range, whole }] of Object.entries(architecture.parameters)) {
    const value = model.parameters[name] ?? fallback;
    if (!(value >= range[0] && value <= range[1]) || (whole && !Number.isInteger(value))) {
      throw new InputError({
        where: `model.parameters.${name}`,
        found: String(value),
        allowed: `a ${whole ? "whole " : ""}number from ${range[0]} to ${range[1]}`,
      });
    }
    parameters[name] = value;
  }
  return architecture.layers(input, classes, parameters);
}
