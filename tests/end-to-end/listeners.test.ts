/** Where processes listen changes nothing of what they train, and beyond loopback nothing listens without a token. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { startTraining, temporaryFolder } from "../cluster.js";
import { drawImageFolder } from "../images.js";

const model = ["--model", "simple-cnn", "--image-size", "16", "--epochs", "1", "--batch-size", "16"];

test("IPv6, a join token, every address, an advertised one that leads elsewhere, a proxy that is not there: the same weights", async (t) => {
  const folder = await temporaryFolder(t);
  await drawImageFolder(join(folder, "animals"), { classes: ["ant", "bee"], imagesPerClass: 20 });
  const train = (flags: string[], environment: Record<string, string> = {}) =>
    startTraining({
      cwd: folder,
      flags: ["animals", ...model, "--micro-batches", "4", "--workers", "2", ...flags],
      environment: { LOCKSTEP_TOKEN: "", ...environment },
    }).ended;
  const plain = await train([]);
  assert.equal(plain.exitCode, 0, plain.standardError);

  const proxy = {
    HTTP_PROXY: "http://127.0.0.1:9",
    http_proxy: "http://127.0.0.1:9",
    grpc_proxy: "http://127.0.0.1:9",
  };
  const open = await train(["--listen", "0.0.0.0:0", "--advertise", "elsewhere.invalid:0"], {
    ...proxy,
    LOCKSTEP_TOKEN: "secret",
  });
  const ipv6 = await train(["--listen", "[::1]:0"]);
  for (const ending of [open, ipv6]) {
    assert.equal(ending.exitCode, 0, ending.standardError);
    assert.equal(ending.last("summary")?.["parametersSha256"], plain.last("summary")?.["parametersSha256"]);
  }

  const refused = await train(["--listen", "0.0.0.0:0"]);
  assert.equal(refused.exitCode, 2);
  assert.match(String(refused.last("error")?.["message"]), /LOCKSTEP_TOKEN/);
});
