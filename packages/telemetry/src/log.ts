/** Logs of services: one line an event, aligned, for people and grep. The legend stands in docs/logs.md. */
import { appendFileSync } from "node:fs";

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface Log {
  readonly level: LogLevel;
  /** One line a step: only where the level asks for it; build costly messages behind `isDebug`. */
  readonly isDebug: boolean;
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface LogOptions {
  /** Who speaks: "worker", "data-shard", "coordinator". */
  readonly source: string;
  /** The least important level that is written. Default: LOCKSTEP_LOG_LEVEL, else "info". */
  readonly level?: LogLevel | undefined;
  /** Appended to; without one, lines go to standard error. */
  readonly file?: string | undefined;
}

/** Lines are written at once, so that a crash loses none: `2026-01-31T12:00:00.000Z info  worker      message`. */
export function openLog(options: LogOptions): Log {
  const level = options.level ?? levelOf(process.env["LOCKSTEP_LOG_LEVEL"]);
  const least = logLevels.indexOf(level);
  const { file, source } = options;
  const write = (severity: LogLevel) => (message: string) => {
    if (logLevels.indexOf(severity) < least) return;
    const line = `${new Date().toISOString()} ${severity.padEnd(5)} ${source.padEnd(11)} ${message}\n`;
    if (file === undefined) process.stderr.write(line);
    else appendFileSync(file, line);
  };
  return {
    level,
    isDebug: level === "debug",
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}

/** "info" where the text names no level: a wrong log level never stops a job. */
function levelOf(text: string | undefined): LogLevel {
  return logLevels.find((level) => level === text) ?? "info";
}
