// Real processes. A stand-in for a service says hello to a server of the test's, so that its end is seen by its socket.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { LaunchRequest } from "./launcher.js";
import { LocalLauncher } from "./local.js";

const timeout = 30_000;

interface Ground {
  readonly folder: string;
  /** A file with this program, to be launched in place of a service. */
  readonly program: (name: string, code: string) => string;
  readonly request: LaunchRequest;
}

function groundOf(t: TestContext): Ground {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-launch-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "logs"));
  const request: LaunchRequest = {
    name: "worker-1",
    service: "worker",
    job: "flowers",
    coordinator: "127.0.0.1:7000",
    runFolder: folder,
    threads: 6,
    listen: "127.0.0.1:0",
    advertise: undefined,
    token: "secret",
  };
  const program = (name: string, code: string): string => {
    writeFileSync(join(folder, name), code);
    return join(folder, name);
  };
  return { folder, program, request };
}

/** A server to which stand-ins connect; `peers(n)` resolves with the first n connections. */
async function listen(t: TestContext): Promise<{ port: number; peers: (n: number) => Promise<Socket[]> }> {
  const sockets: Socket[] = [];
  let came = (): void => undefined;
  const server = createServer((socket) => {
    sockets.push(socket.resume().on("error", () => undefined)); // a killed process resets its connections
    came();
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const peers = async (n: number): Promise<Socket[]> => {
    while (sockets.length < n) await new Promise<void>((resolve) => (came = resolve));
    return sockets;
  };
  return { port: (server.address() as { port: number }).port, peers };
}

/** Connects, and lives as a service does: until its standard input ends. */
const dutiful = (port: number) => `
  require("node:net").connect(${port}, "127.0.0.1");
  process.stdin.on("end", () => process.exit(1)).resume();`;

describe("a launched process", () => {
  test("gets its flags, its share of threads and the token, and logs into the run's folder", { timeout }, async (t) => {
    const { folder, program, request } = groundOf(t);
    const main = program(
      "says.cjs",
      `const { OMP_NUM_THREADS: omp, LOCKSTEP_TOKEN: token } = process.env;
       console.log(JSON.stringify({ flags: process.argv.slice(2), omp, token }));`,
    );
    const end = await new LocalLauncher(() => main).launch({ ...request, advertise: "10.0.0.1:0" }).ended;
    assert.equal(end.ok, true);
    const said = JSON.parse(readFileSync(join(folder, "logs", "worker-1.log"), "utf8")) as Record<string, unknown>;
    const flags = ["--coordinator", "127.0.0.1:7000", "--job", "flowers", "--name", "worker-1"];
    assert.deepEqual(said, {
      flags: [...flags, "--listen", "127.0.0.1:0", "--exit-with-parent", "--advertise", "10.0.0.1:0"],
      omp: "6",
      token: "secret",
    });
  });

  test(
    "that decodes has a pool for its threads, one that computes has what it would have anyway",
    { timeout },
    async (t) => {
      const { folder, program, request } = groundOf(t);
      const main = program("says.cjs", `console.log(process.env.UV_THREADPOOL_SIZE ?? "unset");`);
      const saidBy = async (service: LaunchRequest["service"], threads: number): Promise<string> => {
        const name = `${service}-with-${threads}`;
        await new LocalLauncher(() => main).launch({ ...request, name, service, threads }).ended;
        return readFileSync(join(folder, "logs", `${name}.log`), "utf8").trim();
      };
      assert.equal(await saidBy("data-shard", 6), "6");
      assert.equal(await saidBy("data-shard", 1), "4");
      assert.equal(await saidBy("worker", 6), process.env["UV_THREADPOOL_SIZE"] ?? "unset");
    },
  );

  test("whose log is gone when it ends still says how it ended", { timeout }, async (t) => {
    const { folder, program, request } = groundOf(t);
    const logs = JSON.stringify(join(folder, "logs"));
    const main = program(
      "removes.cjs",
      `require("node:fs").rmSync(${logs}, { recursive: true }); process.exitCode = 7;`,
    );
    const { how, lastLines } = await new LocalLauncher(() => main).launch(request).ended;
    assert.match(how, /^ended with exit code 7 and logged nothing/);
    assert.deepEqual(lastLines, []);
  });

  test(
    "that crashes leaves a sentence of one line and the last lines of its log, and only those",
    { timeout },
    async (t) => {
      const { program, request } = groundOf(t);
      const main = program(
        "crashes.cjs",
        `for (let i = 0; i < 50_000; i++) console.log("line " + i);
       console.error("Error: the disk is full"); process.exitCode = 7;`,
      );
      const { ok, how, lastLines } = await new LocalLauncher(() => main).launch(request).ended;
      assert.equal(ok, false);
      assert.match(how, /^ended with exit code 7 \(log: .*worker-1\.log\)$/);
      assert.deepEqual(lastLines.slice(-2), ["line 49999", "Error: the disk is full"]);
      assert.equal(lastLines.length, 5);
    },
  );

  test("that is killed, or cannot be started, says how", { timeout }, async (t) => {
    const { program, request } = groundOf(t);
    const main = program("waits.cjs", "process.stdin.resume();");
    const launched = new LocalLauncher(() => main).launch(request);
    process.kill(launched.processId, "SIGKILL");
    assert.match((await launched.ended).how, /^ended with SIGKILL and logged nothing \(log: .*\)$/);
    const missing = new LocalLauncher(() => join(main, "nowhere.cjs")).launch(request);
    const { how, lastLines } = await missing.ended;
    assert.match(how, /^ended with exit code 1 /);
    assert.match(lastLines.join("\n"), /Cannot find module|ERR_|MODULE/);
  });

  test("ends by itself, when its input ends, or by force, in this order", { timeout }, async (t) => {
    const { program, request } = groundOf(t);
    const { port, peers } = await listen(t);
    const launch = (code: string, name: string) =>
      new LocalLauncher(() => program(`${name}.cjs`, code)).launch({ ...request, name });
    const byItself = launch("process.exitCode = 0;", "leaves");
    await byItself.stop(timeout);
    assert.equal((await byItself.ended).ok, true);

    const asked = launch(dutiful(port), "dutiful");
    await peers(1);
    await asked.stop(1);
    // Asked with little time on a busy machine it may have been killed: then it says so.
    assert.match((await asked.ended).how, /exit code 1|SIGKILL/);

    const deaf = launch(`require("node:net").connect(${port}, "127.0.0.1"); process.on("SIGTERM", () => {});`, "deaf");
    await peers(2);
    await deaf.stop(10);
    assert.match((await deaf.ended).how, /SIGKILL/);
  });
});

test("children die with their parent, also when it is killed with SIGKILL", { timeout }, async (t) => {
  const { folder, program, request } = groundOf(t);
  const { port, peers } = await listen(t);
  const main = program("dutiful.cjs", dutiful(port));
  const parent = program(
    "parent.mjs",
    `import { LocalLauncher } from ${JSON.stringify(new URL("./local.js", import.meta.url).href)};
     const launcher = new LocalLauncher(() => ${JSON.stringify(main)});
     for (const name of ["worker-1", "worker-2", "data-shard-1"]) {
       launcher.launch({ ...${JSON.stringify(request)}, runFolder: ${JSON.stringify(folder)}, name });
     }
     setInterval(() => {}, 1_000);`,
  );
  const child = spawn(process.execPath, [parent], { stdio: ["ignore", "inherit", "inherit"] });
  const sockets = await peers(3);
  child.kill("SIGKILL");
  await Promise.all(sockets.filter((socket) => !socket.closed).map((socket) => once(socket, "close")));
  assert.equal(sockets.length, 3);
});
