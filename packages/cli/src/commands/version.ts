import { readFile } from "node:fs/promises";
import { exitCodes } from "../exit-codes.js";
import type { Command } from "./command.js";

export const version: Command = {
  name: "version",
  meaning: "Print Lockstep's version",
  usage: ["lockstep version"],
  flags: [],
  examples: [],
  async run() {
    const manifest = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    process.stdout.write(
      `lockstep ${manifest.version} (Node ${process.versions.node}, ${process.platform} ${process.arch})\n`,
    );
    return exitCodes.done;
  },
};
