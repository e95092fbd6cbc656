import { InputError, suggestion } from "@lockstep/spec";
import { exitCodes } from "../exit-codes.js";
import { flagGroups, type Flag } from "../flags.js";
import type { Command } from "./command.js";

/** Every command has it. */
const helpFlag: Flag = { group: "Run", name: "help", value: undefined, meaning: "print this" };

/** Columns of help: no wider, so that it reads in any terminal. */
const columns = 110;

/** `lockstep help [COMMAND]` over the commands beside it. */
export function helpFor(commands: readonly Command[]): Command {
  const help: Command = {
    name: "help",
    meaning: "Print help, also for a command",
    usage: ["lockstep help [COMMAND]"],
    flags: [],
    examples: [],
    async run({ positionals }) {
      const [name] = positionals;
      const text =
        name === undefined ? overview([...commands, help]) : commandHelp(findCommand([...commands, help], name));
      process.stdout.write(text);
      return exitCodes.done;
    },
  };
  return help;
}

/** @throws InputError with the command that was probably meant */
export function findCommand(commands: readonly Command[], name: string): Command {
  const command = commands.find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  const names = commands.map((candidate) => candidate.name);
  const meant = suggestion(name, names);
  const allowed = meant === undefined ? names.join(", ") : `${names.join(", ")} (did you mean "${meant}"?)`;
  throw new InputError({ where: "command line", found: `an unknown command "${name.slice(0, 60)}"`, allowed });
}

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    "Lockstep trains image classifiers on any number of processes; the weights are the same, bit for bit, whatever that number.",
    "",
    "Usage: lockstep COMMAND [flags]",
    "",
    "Commands:",
    ...commands.map((command) => `  ${command.name.padEnd(width)}  ${command.meaning}`),
    "",
    "`lockstep COMMAND --help` tells a command's flags. Start with `lockstep train DIR`,",
    "DIR being a folder with one folder of images for each class.",
    "",
  ].join("\n");
}

export function commandHelp(command: Command): string {
  const [first = "", ...rest] = command.usage;
  const all = [...command.flags, helpFlag];
  const width = Math.max(...all.map((flag) => flagText(flag).length));
  const lines = [command.meaning + ".", "", `Usage: ${first}`, ...rest.map(usageLine)];
  for (const group of flagGroups) {
    const flags = all.filter((flag) => flag.group === group);
    if (flags.length === 0) continue;
    lines.push("", `${group}:`);
    for (const flag of flags) lines.push(...row(flagText(flag), flag.meaning, width));
  }
  if (command.examples.length > 0) lines.push("", "Examples:", ...command.examples.map((example) => `  ${example}`));
  return `${lines.join("\n")}\n`;
}

const usageLine = (line: string) => (line.startsWith("lockstep ") ? `       ${line}` : line);
const flagText = (flag: Flag) => (flag.value === undefined ? `--${flag.name}` : `--${flag.name} ${flag.value}`);

/** "  --lr RATE   learning rate ...", with what does not fit on further lines below the meaning. */
function row(flag: string, meaning: string, width: number): string[] {
  const room = columns - width - 4;
  const lines: string[] = [""];
  for (const word of meaning.split(" ")) {
    const last = lines.length - 1;
    const line = lines[last] ?? "";
    if (line !== "" && line.length + 1 + word.length > room) lines.push(word);
    else lines[last] = line === "" ? word : `${line} ${word}`;
  }
  return lines.map((line, index) => `  ${(index === 0 ? flag : "").padEnd(width)}  ${line}`);
}
