/** From arguments to an exit code: finds the command, and makes one sentence of whatever it throws. */
import { readArguments } from "./arguments.js";
import type { Command } from "./commands/command.js";
import { explain } from "./commands/explain.js";
import { commandHelp, findCommand, helpFor, overview } from "./commands/help.js";
import { train } from "./commands/train.js";
import { version } from "./commands/version.js";
import { CommandFailure, exitCodeOf, exitCodes, sentenceOf } from "./exit-codes.js";
import { printable } from "./terminal.js";

const working = [train, explain, version];
const commands: readonly Command[] = [...working, helpFor(working)];

export async function runCommandLine(words: readonly string[]): Promise<number> {
  const [first, ...rest] = words;
  try {
    if (first === undefined) {
      process.stderr.write(overview(commands));
      return exitCodes.badInput;
    }
    if (first === "--help" || first === "-h") return print(overview(commands));
    if (first === "--version" || first === "-v") return await version.run({ flags: new Map(), positionals: [] });
    const command = findCommand(commands, first);
    if (rest.includes("--help") || rest.includes("-h")) return print(commandHelp(command));
    return await command.run(readArguments(command.name, rest, command.flags));
  } catch (thrown) {
    return report(thrown, rest.includes("--json"));
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return exitCodes.done;
}

/**
 * One sentence on standard error, and the last lines of a process that ended unasked; with --json also as the event that
 * scripts read. Stacks only where asked for.
 */
function report(thrown: unknown, json: boolean): number {
  const exitCode = exitCodeOf(thrown);
  const message = sentenceOf(thrown);
  const told = thrown instanceof CommandFailure ? thrown.told : undefined;
  if (json && told === undefined) process.stdout.write(`${JSON.stringify({ type: "error", message, exitCode })}\n`);
  process.stderr.write(`lockstep: ${printable(message)}\n`);
  for (const line of told?.lastLines ?? []) process.stderr.write(`  ${printable(line)}\n`);
  if (process.env["LOCKSTEP_DEBUG"] === "1" && thrown instanceof Error) process.stderr.write(`${thrown.stack ?? ""}\n`);
  return exitCode;
}
