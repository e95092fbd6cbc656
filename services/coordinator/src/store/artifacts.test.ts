import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { InputError } from "@lockstep/spec";
import { makeRunFolder, receiveArtifact, writeFileWhole } from "./artifacts.js";

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-artifacts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function* inPieces(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

const content = [Buffer.from("the first piece, "), Buffer.from("the second")];
const promised = {
  bytes: content.reduce((sum, piece) => sum + piece.length, 0),
  sha256: createHash("sha256").update(Buffer.concat(content)).digest("hex"),
};

describe("run folders", () => {
  test("an existing name gets -2, -3, and nothing in an existing folder is touched", (t) => {
    const parent = join(temporaryFolder(t), "runs");
    const first = makeRunFolder(parent, "flowers");
    writeFileSync(join(first.folder, "model.onnx"), "kept");
    const names = [1, 2].map(() => makeRunFolder(parent, "flowers").run);
    assert.deepEqual([first.run, ...names], ["flowers", "flowers-2", "flowers-3"]);
    assert.equal(readFileSync(join(first.folder, "model.onnx"), "utf8"), "kept");
    assert.ok(existsSync(join(first.folder, "logs")));
  });

  test("a file of that name counts as taken, and so does a name that the store knows", (t) => {
    const parent = temporaryFolder(t);
    writeFileSync(join(parent, "flowers"), "a file");
    assert.equal(makeRunFolder(parent, "flowers", (run) => run === "flowers-2").run, "flowers-3");
  });

  test("a parent that cannot be a folder is an input error that names it", (t) => {
    const parent = join(temporaryFolder(t), "file");
    writeFileSync(parent, "");
    assert.throws(
      () => makeRunFolder(parent, "run"),
      (error) => error instanceof InputError && error.message.includes(parent),
    );
  });
});

describe("an artifact", () => {
  test("is there whole, under its name alone, once size and SHA-256 are those promised", async (t) => {
    const folder = temporaryFolder(t);
    await receiveArtifact(join(folder, "model.onnx"), promised, inPieces(...content));
    assert.equal(readFileSync(join(folder, "model.onnx"), "utf8"), "the first piece, the second");
    assert.deepEqual(readdirSync(folder), ["model.onnx"]);
  });

  test("has no name while it is being written", async (t) => {
    const folder = temporaryFolder(t);
    const seen: boolean[] = [];
    async function* watched() {
      for (const piece of content) {
        seen.push(existsSync(join(folder, "model.onnx")));
        yield piece;
      }
      seen.push(existsSync(join(folder, "model.onnx")));
    }
    await receiveArtifact(join(folder, "model.onnx"), promised, watched());
    assert.deepEqual(seen, [false, false, false]);
  });

  test("that is cut, too long, damaged or breaks off leaves an earlier file as it was, and nothing else", async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, "model.onnx");
    writeFileSync(path, "earlier");
    async function* broken() {
      yield content[0] as Uint8Array;
      throw new Error("the stream broke");
    }
    const cases: [string, AsyncIterable<Uint8Array>, RegExp][] = [
      ["cut", inPieces(content[0] as Uint8Array), /not as announced/],
      ["too long", inPieces(...content, Buffer.from("!")), /longer than the/],
      ["damaged", inPieces(Buffer.from("The first piece, "), content[1] as Uint8Array), /not as announced/],
      ["broken off", broken(), /the stream broke/],
    ];
    for (const [what, pieces, expected] of cases) {
      await assert.rejects(receiveArtifact(path, promised, pieces), expected, what);
      assert.equal(readFileSync(path, "utf8"), "earlier", what);
      assert.deepEqual(readdirSync(folder), ["model.onnx"], what);
    }
  });

  test("a small file is replaced whole, and a failure leaves no half of it", (t) => {
    const folder = temporaryFolder(t);
    writeFileWhole(join(folder, "spec.yaml"), "seed: 1\n");
    writeFileWhole(join(folder, "spec.yaml"), "seed: 2\n");
    assert.equal(readFileSync(join(folder, "spec.yaml"), "utf8"), "seed: 2\n");
    assert.deepEqual(readdirSync(folder), ["spec.yaml"]);
    assert.throws(() => writeFileWhole(join(folder, "missing", "spec.yaml"), "seed: 3\n"));
  });
});
