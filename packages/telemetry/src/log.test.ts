import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openLog, type LogOptions } from "./log.js";

const now = () => new Date("2026-01-02T12:34:56.789Z");

function linesOf(
  options: Omit<LogOptions, "write" | "now">,
  entries: (log: ReturnType<typeof openLog>) => void,
): string[] {
  const lines: string[] = [];
  entries(openLog({ ...options, now, write: (line) => lines.push(line) }));
  return lines;
}

test("text is one aligned line an entry: clock, level, source, message, fields", () => {
  const lines = linesOf({ source: "worker-1" }, (log) => {
    log.info("training begins", { members: 4, file: "a b.png" });
    log.with({ position: 7n }).error("lost\na peer");
  });
  assert.deepEqual(lines, [
    '12:34:56.789 info  worker-1     training begins  members=4  file="a b.png"',
    "12:34:56.789 error worker-1     lost\\na peer  position=7",
  ]);
});

test("JSON holds the same, with errors and 64-bit numbers readable", () => {
  const [line = ""] = linesOf({ source: "coordinator", form: "json" }, (log) =>
    log.warn("slow", { chain: 2n ** 63n, cause: new Error("why") }),
  );
  const entry = JSON.parse(line) as Record<string, unknown> & { cause: { message: string } };
  assert.equal(entry.time, "2026-01-02T12:34:56.789Z");
  assert.equal(entry.level, "warn");
  assert.equal(entry.chain, "9223372036854775808");
  assert.equal(entry.cause.message, "why");
});

test("entries below the level are left out", () => {
  const lines = linesOf({ source: "x", level: "warn" }, (log) => {
    log.debug("no");
    log.info("no");
    log.warn("yes");
  });
  assert.equal(lines.length, 1);
});

test("a file is appended to, and each entry is there at once", () => {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-log-"));
  try {
    const file = join(folder, "worker.log");
    openLog({ source: "a", file }).info("first");
    openLog({ source: "a", file }).info("second");
    assert.match(readFileSync(file, "utf8"), /first\n.*second\n$/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
