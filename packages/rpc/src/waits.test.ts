import assert from "node:assert/strict";
import { test } from "node:test";
import * as waits from "./waits.js";

test("nobody gives up on another before that one's own time is over", () => {
  assert.ok(waits.peerWaitMs >= waits.sessionsMsMax, "a peer that creates its sessions");
  assert.ok(waits.failedMsMax > waits.sessionsMsMax, "a freeze that waits for sessions");
  assert.ok(waits.holdMsMax > 3 * waits.pullMsMax, "a coordinator that pulls model and checkpoint");
  assert.ok(waits.coordinatorKillMs > waits.coordinatorEndMsMax, "a coordinator that saves");
});
