import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { packState, sha256, type TrainingState } from "@lockstep/model";
import { ArtifactRequest, crc32c, type Frame, RpcError, StateRequest, Status } from "@lockstep/rpc";
import { Checkpointer } from "./checkpointer.js";
import { answersOf } from "./state-transfer.js";

const job = "digits";
const state: TrainingState = {
  position: 12,
  updates: 10,
  chain: 5n,
  parameters: Float32Array.from({ length: 600_000 }, (_, i) => i), // more than two pieces of 1 MiB
  statistics: new Float32Array(0),
  slots: [],
  scalars: new Float64Array(0),
};
const answers = answersOf({ job, state: () => state, checkpointer: new Checkpointer("0.0.0") });
const context = { signal: new AbortController().signal } as Parameters<typeof answers.state>[1];

async function bytesOf(frames: AsyncIterable<Frame>, offset = 0): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let next = offset;
  for await (const frame of frames) {
    assert.equal(frame.offset, next);
    assert.equal(frame.crc32c, crc32c(frame.payload));
    pieces.push(frame.payload);
    next += frame.payload.length;
  }
  return Buffer.concat(pieces);
}

const refusal = (code: Status) => (error: unknown) => error instanceof RpcError && error.code === code;

describe("a training state", () => {
  const request = StateRequest.create({ job, position: 12 });
  const packed = Buffer.from(packState(state));

  test("comes whole, or from where an earlier pull stopped", async () => {
    assert.deepEqual(await bytesOf(answers.state(request, context)), packed);
    const offset = 1_500_000;
    const rest = answers.state({ ...request, offset, digest: sha256([packed]) }, context);
    assert.deepEqual(await bytesOf(rest, offset), packed.subarray(offset));
  });

  test("of another position, digest or job is refused", () => {
    for (const change of [{ position: 11 }, { digest: "0".repeat(64) }, { job: "other" }]) {
      assert.throws(() => answers.state({ ...request, ...change }, context), refusal(Status.FAILED_PRECONDITION));
    }
  });
});

test("a file that was not published is not found", () => {
  const request = ArtifactRequest.create({ job, name: "model.onnx" });
  assert.throws(() => answers.artifact(request, context), refusal(Status.NOT_FOUND));
});
