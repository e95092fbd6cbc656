import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeVersionFault } from "./node-version.js";

test("Node 20.19 and later, 22 and 24 will do", () => {
  for (const version of ["20.19.0", "20.20.2", "22.0.0", "24.11.1", "26.0.0"]) {
    assert.equal(nodeVersionFault(version), undefined);
  }
});

test("an older Node is told which are needed", () => {
  for (const version of ["20.18.3", "18.20.0", "16.0.0"]) {
    assert.equal(nodeVersionFault(version), `Lockstep needs Node 20.19 or later, 22 or 24; this is Node ${version}.`);
  }
});
