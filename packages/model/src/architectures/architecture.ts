import type { LayerSpec } from "@lockstep/spec";
import type { NetworkInput } from "../network.js";

/** A network written once for every image size and class count. */
export interface Architecture {
  /** One line, for people. */
  readonly meaning: string;
  /** The layers; `parameters` holds every parameter that @lockstep/spec names for it, checked. */
  layers(input: NetworkInput, classes: number, parameters: Readonly<Record<string, number>>): LayerSpec[];
}
