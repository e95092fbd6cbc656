// A run's files: what the writer has made is pulled from it; what the coordinator knows itself it writes.

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { buildNetwork, checkpointFiles, decodeCheckpoint, layoutOf, type TrainingState } from "@lockstep/model";
import {
  type ArtifactName,
  crc32c,
  type Frame,
  openClient,
  PeerServiceClient,
  pullMsMax,
  readStream,
  RpcError,
  Status,
} from "@lockstep/rpc";
import type { ResolvedJobSpec } from "@lockstep/spec";
import { receiveArtifact } from "./store/artifacts.js";

/** Names that a writer may publish: nothing else is written, wherever a name would point. */
const artifactNames: readonly string[] = ["model.onnx", checkpointFiles.tensors, checkpointFiles.manifest];

export interface Writer {
  readonly job: string;
  readonly address: string;
  readonly token: string | undefined;
}

/**
 * Pulls every file that was announced into the run's folder.
 * @returns their absolute paths
 * @throws Error, RpcError when a file does not come whole; files that came before it stay
 */
export async function pullArtifacts(
  writer: Writer,
  artifacts: readonly ArtifactName[],
  folder: string,
): Promise<string[]> {
  const client = openClient(PeerServiceClient, writer.address, { token: writer.token });
  const paths: string[] = [];
  try {
    for (const artifact of artifacts) {
      if (!artifactNames.includes(artifact.name))
        throw new Error(`the writer published "${artifact.name}"; allowed: ${artifactNames.join(", ")}`);
      const request = { job: writer.job, name: artifact.name, offset: 0 };
      const what = `Pulling ${artifact.name} from ${writer.address}`;
      const open = (options: object) => client.artifact(request, options);
      const frames = readStream<Frame>(open, { what, deadlineMs: pullMsMax });
      const path = join(folder, artifact.name);
      await receiveArtifact(path, artifact, payloads(frames, what));
      paths.push(path);
    }
  } finally {
    client.close();
  }
  return paths;
}

async function* payloads(frames: AsyncIterable<Frame>, what: string): AsyncGenerator<Uint8Array> {
  for await (const frame of frames) {
    if (crc32c(frame.payload) !== frame.crc32c) throw new RpcError(Status.DATA_LOSS, `${what}: a frame came damaged.`);
    yield frame.payload;
  }
}

/** The state in a run's checkpoint, verified against its manifest. */
export function checkpointState(folder: string, spec: ResolvedJobSpec, classes: number): TrainingState {
  const { channels, imageSize } = spec.dataset;
  const layout = layoutOf(buildNetwork(spec.model, { channels, ...imageSize }, classes));
  const tensors = readFileSync(join(folder, checkpointFiles.tensors));
  const manifest = readFileSync(join(folder, checkpointFiles.manifest));
  return decodeCheckpoint({ tensors, manifest }, layout, folder);
}

/** metrics.jsonl: one line a position, in order; no times, so that equal runs have equal files. */
export class MetricsFile {
  readonly path: string;
  readonly #file: number;

  constructor(folder: string) {
    this.path = join(folder, "metrics.jsonl");
    this.#file = openSync(this.path, "a");
  }

  write(line: object): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}
