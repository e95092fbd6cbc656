import { encode, GraphBuilder, lower } from "@lockstep/graph";
import type { Layout, LayoutEntry, Network } from "@lockstep/model";
import type { Normalization } from "@lockstep/spec";
import { forward } from "./forward.js";

/** What the deployable model carries beside its weights. */
export interface ExportContext {
  /** Class names; the index is the class's number. */
  readonly classes: readonly string[];
  readonly normalize: Normalization;
  /** Of Lockstep. */
  readonly version: string;
}

/** Keys of the deployable model's `metadata_props`. Values of `classes`, `imageSize` and `normalize` are JSON. */
export const exportMetadataKeys = {
  classes: "lockstep.classes",
  imageSize: "lockstep.imageSize",
  channels: "lockstep.channels",
  normalize: "lockstep.normalize",
  version: "lockstep.version",
} as const;

/**
 * The trained network as an ONNX model (opset 18) that takes raw pixels: input "image", uint8 [N, height, width, channels] with
 * any N, decoded and resized as in training, not normalised; output "probabilities", float32 [N, classes]. Normalisation is part
 * of the graph, batch-norm uses the running statistics, dropout is gone.
 */
export function exportModel(
  network: Network,
  layout: Layout,
  state: { readonly parameters: Float32Array; readonly statistics: Float32Array },
  context: ExportContext,
): Uint8Array {
  const { channels, height, width } = network.input;
  if (context.classes.length !== network.classes) {
    throw new Error(`${context.classes.length} class names were given for a network of ${network.classes} classes`);
  }
  const graph = new GraphBuilder("classifier");
  const tensors = new Map<string, { entry: LayoutEntry; values: Float32Array }>();
  for (const entry of layout.parameters) tensors.set(entry.name, { entry, values: part(state.parameters, entry) });
  for (const entry of layout.statistics) tensors.set(entry.name, { entry, values: part(state.statistics, entry) });
  const logits = forward(graph, network, {
    image: graph.input("image", "uint8", [1, height, width, channels]),
    normalize: context.normalize,
    tensor: (name) => {
      const found = tensors.get(name);
      if (found === undefined) throw new Error(`the layout has no tensor ${name}`);
      return graph.constant(found.values, found.entry.shape);
    },
  });
  graph.output("probabilities", graph.softmax(logits));
  return encode(lower(graph.finish(), { batch: "free" }), {
    metadata: {
      [exportMetadataKeys.version]: context.version,
      [exportMetadataKeys.classes]: JSON.stringify(context.classes),
      [exportMetadataKeys.imageSize]: JSON.stringify({ height, width }),
      [exportMetadataKeys.channels]: String(channels),
      [exportMetadataKeys.normalize]: JSON.stringify(context.normalize),
    },
  });
}

function part(values: Float32Array, { offset, length }: LayoutEntry): Float32Array {
  return values.subarray(offset, offset + length);
}
