/** A command's arguments: flags with their values, and what stands beside them. */
import { InputError, suggestion } from "@lockstep/spec";
import { parseArgs } from "node:util";
import type { Flag } from "./flags.js";

export interface Arguments {
  /** Given flags by name, without dashes; "" for one that takes no value. The last of a repeated flag counts. */
  readonly flags: ReadonlyMap<string, string>;
  readonly positionals: readonly string[];
}

/** @throws InputError for an unknown flag, a missing value, a value too many */
export function readArguments(command: string, given: readonly string[], known: readonly Flag[]): Arguments {
  const options = Object.fromEntries(
    known.map((flag) => [flag.name, { type: flag.value === undefined ? "boolean" : "string" } as const]),
  );
  // Not strict: the errors of strict mode name no flag that was probably meant, and refuse "--seed -1" before its field can.
  const { tokens } = parseArgs({ args: [...given], options, strict: false, tokens: true });
  const flags = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const flag = known.find((candidate) => candidate.name === token.name && token.rawName.startsWith("--"));
    if (flag === undefined) throw unknownFlag(command, token.rawName, known);
    flags.set(flag.name, valueOf(flag, token));
  }
  return { flags, positionals };
}

function valueOf(
  flag: Flag,
  token: { readonly value?: string | undefined; readonly inlineValue?: boolean | undefined },
): string {
  const where = `--${flag.name}`;
  if (flag.value === undefined) {
    if (token.value === undefined) return "";
    throw new InputError({ where, found: `the value "${token.value}"`, allowed: "no value" });
  }
  const looksLikeFlag = token.inlineValue !== true && token.value?.startsWith("--") === true;
  if (token.value !== undefined && token.value !== "" && !looksLikeFlag) return token.value;
  throw new InputError({ where, found: "no value", allowed: `${where} ${flag.value}` });
}

function unknownFlag(command: string, rawName: string, known: readonly Flag[]): InputError {
  const meant = suggestion(
    rawName.replace(/^-+/, ""),
    known.map((flag) => flag.name),
  );
  const allowed = `the flags of "lockstep ${command} --help"`;
  return new InputError({
    where: rawName,
    found: "an unknown flag",
    allowed: meant === undefined ? allowed : `${allowed} (did you mean --${meant}?)`,
  });
}
