#!/usr/bin/env node
// The `lockstep` command. Nothing is imported before the version check: an old Node would fail inside an import, unreadably.
import { nodeVersionFault } from "./node-version.js";

const fault = nodeVersionFault(process.versions.node);
if (fault === undefined) {
  const { runCommandLine } = await import("./command-line.js");
  process.exitCode = await runCommandLine(process.argv.slice(2));
} else {
  process.stderr.write(`lockstep: ${fault}\n`);
  process.exitCode = 4; // couldNotStart
}
