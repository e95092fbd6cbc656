/** Where processes listen changes nothing of what they train, and beyond loopback nothing listens without a token. */
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Ending, startTraining, temporaryFolder } from "../cluster.js";
import { drawImageFolder } from "../images.js";

const model = ["--model", "simple-cnn", "--image-size", "16", "--epochs", "1", "--batch-size", "16"];

async function trainer(context: Parameters<typeof temporaryFolder>[0]) {
  const folder = await temporaryFolder(context);
  await drawImageFolder(join(folder, "animals"), { classes: ["ant", "bee"], imagesPerClass: 20 });
  return (flags: string[], environment: Record<string, string> = {}) =>
    startTraining({
      cwd: folder,
      flags: ["animals", ...model, "--micro-batches", "4", "--workers", "2", ...flags],
      environment: { LOCKSTEP_TOKEN: "", ...environment },
    }).ended;
}

function assertSameWeights(ending: Ending, plain: Ending): void {
  for (const each of [ending, plain]) assert.equal(each.exitCode, 0, each.standardError);
  assert.equal(ending.last("summary")?.["parametersSha256"], plain.last("summary")?.["parametersSha256"]);
}

test("every address with a join token, an advertised one that leads elsewhere, a proxy that is not there: the same weights", async (t) => {
  const train = await trainer(t);
  const proxy = {
    HTTP_PROXY: "http://127.0.0.1:9",
    http_proxy: "http://127.0.0.1:9",
    grpc_proxy: "http://127.0.0.1:9",
  };
  const open = await train(["--listen", "0.0.0.0:0", "--advertise", "elsewhere.invalid:0"], {
    ...proxy,
    LOCKSTEP_TOKEN: "secret",
  });
  assertSameWeights(open, await train([]));

  const refused = await train(["--listen", "0.0.0.0:0"]);
  assert.equal(refused.exitCode, 2);
  assert.match(String(refused.last("error")?.["message"]), /LOCKSTEP_TOKEN/);
});

test("IPv6: the same weights", async (t) => {
  const faces = Object.values(networkInterfaces()).flat();
  if (!faces.some((face) => face?.address === "::1")) return t.skip("THIS MACHINE HAS NO IPv6 LOOPBACK");
  const train = await trainer(t);
  assertSameWeights(await train(["--listen", "[::1]:0"]), await train([]));
});
