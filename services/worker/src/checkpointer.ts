/** Makes the files of a state, in memory: the coordinator pulls them from here and writes them. */
import { exportModel } from "@lockstep/engine";
import { checkpointFiles, encodeCheckpoint, sha256 } from "@lockstep/model";
import type { ArtifactName } from "@lockstep/rpc";
import { specHash } from "@lockstep/spec";
import type { Training } from "./training.js";

export class Checkpointer {
  readonly #build: string;
  readonly #files = new Map<string, Uint8Array>();

  /** `build`: Lockstep's version, written into the files. */
  constructor(build: string) {
    this.#build = build;
  }

  /** Makes model.onnx, checkpoint.safetensors and checkpoint.json of the present state; they replace earlier ones. */
  publish(training: Training): ArtifactName[] {
    const { network, layout, state, spec, assignment, engine } = training;
    const { classes, datasetDigest } = assignment;
    const model = exportModel(network, layout, state, {
      classes,
      normalize: spec.preprocess.normalize,
      version: this.#build,
    });
    const checkpoint = encodeCheckpoint(state, layout, {
      spec,
      specHash: specHash(spec).sha256,
      engineIdentity: `${engine.identity} graph=${engine.digest}`,
      datasetDigest,
      classes,
      versions: { lockstep: this.#build, node: process.versions.node },
    });
    this.#files.set("model.onnx", model);
    this.#files.set(checkpointFiles.tensors, checkpoint.tensors);
    this.#files.set(checkpointFiles.manifest, checkpoint.manifest);
    return [...this.#files].map(([name, bytes]) => ({ name, bytes: bytes.length, sha256: sha256([bytes]) }));
  }

  /** Undefined where nothing of that name was published. */
  file(name: string): Uint8Array | undefined {
    return this.#files.get(name);
  }
}
