// Why a job ends early, and how the command that asked for it then exits.

import { InputError } from "@lockstep/spec";
import { exitCodes } from "./job.js";

/** The first reason stands. */
export class Stopped extends Error {
  readonly outcome: "cancelled" | "failed";
  constructor(outcome: "cancelled" | "failed", why: string) {
    super(why);
    this.outcome = outcome;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof InputError) return exitCodes.badInput;
  return error instanceof Stopped ? exitCodes.failed : exitCodes.internal;
}
