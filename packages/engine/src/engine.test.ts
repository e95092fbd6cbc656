import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@lockstep/spec";
import { findEngine } from "./engine.js";

test("an engine that this version does not have is refused in one sentence", () => {
  assert.throws(
    () => findEngine("tensorflow"),
    (error: unknown) =>
      error instanceof InputError &&
      error.message ===
        'engine.name: found "tensorflow", which this version of Lockstep does not have; allowed: "onnxruntime"',
  );
  assert.equal(findEngine("onnxruntime").name, "onnxruntime");
});
