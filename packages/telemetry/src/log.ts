/**
 * Log of one process: one line an entry, to stderr or a file, aligned for people or JSON for programs.
 *
 *   12:34:56.789 info  worker-1   generation 1.3 begins at position 41  members=4 rank=2
 *   {"time":"2026-01-02T12:34:56.789Z","level":"info","source":"worker-1","message":"...","members":4,"rank":2}
 */
import { openSync, writeSync } from "node:fs";

export const logLevels = ["trace", "debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** What an entry carries beside its message; an error is written as its message and, in files, its stack. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  /** The lowest level that is written. */
  readonly level: LogLevel;
  /** Whether debug entries (about one a step) are written: costly messages are built behind it. */
  readonly isDebug: boolean;
  /** Whether trace entries (many a step) are written. */
  readonly isTrace: boolean;
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with fields that every entry carries. */
  with(fields: LogFields): Log;
}

export interface LogOptions {
  /** The process: "coordinator", "worker-1". */
  readonly source: string;
  /** Lowest level written. Default: LOCKSTEP_LOG_LEVEL, else "info". */
  readonly level?: LogLevel | undefined;
  /** Default "text". */
  readonly form?: "text" | "json";
  /** Appends to this file instead of stderr. */
  readonly file?: string | undefined;
  /** Takes each finished line instead of file and stderr. */
  readonly write?: (line: string) => void;
  /** Default: the system's clock. */
  readonly now?: () => Date;
}

/** @throws when the file cannot be opened. */
export function openLog(options: LogOptions): Log {
  const write = options.write ?? lineWriter(options.file);
  const now = options.now ?? (() => new Date());
  const format = options.form === "json" ? formatJson : formatText;
  const level = options.level ?? levelOf(process.env.LOCKSTEP_LOG_LEVEL);
  const lowest = logLevels.indexOf(level);

  const logWith = (context: LogFields): Log => {
    const at = (severity: LogLevel) => (message: string, fields?: LogFields) => {
      if (logLevels.indexOf(severity) < lowest) return;
      write(
        format({ time: now(), level: severity, source: options.source, message, fields: { ...context, ...fields } }),
      );
    };
    return {
      level,
      isDebug: lowest <= logLevels.indexOf("debug"),
      isTrace: level === "trace",
      trace: at("trace"),
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      with: (fields) => logWith({ ...context, ...fields }),
    };
  };
  return logWith({});
}

/** "info" where the text names no level: a mistyped log level never stops a job. */
function levelOf(text: string | undefined): LogLevel {
  return logLevels.find((level) => level === text) ?? "info";
}

/** Written synchronously: the last lines of a process that crashes are the ones that matter. */
function lineWriter(file: string | undefined): (line: string) => void {
  const descriptor = file === undefined ? process.stderr.fd : openSync(file, "a");
  return (line) => {
    try {
      writeSync(descriptor, `${line}\n`);
    } catch (error) {
      // A full pipe (EAGAIN), a closed one (EPIPE) or a full disk costs log lines, never the run.
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code !== "EAGAIN" && code !== "EPIPE" && code !== "ENOSPC") throw error;
    }
  };
}

interface Entry {
  readonly time: Date;
  readonly level: LogLevel;
  readonly source: string;
  readonly message: string;
  readonly fields: LogFields;
}

function formatText({ time, level, source, message, fields }: Entry): string {
  const clock = time.toISOString().slice(11, 23);
  const pairs = Object.entries(fields).map(([name, value]) => `  ${name}=${oneLine(textOf(value))}`);
  return `${clock} ${level.padEnd(5)} ${source.padEnd(12)} ${oneLine(message)}${pairs.join("")}`;
}

function formatJson({ time, level, source, message, fields }: Entry): string {
  return JSON.stringify({ time: time.toISOString(), level, source, message, ...fields }, (_name, value: unknown) => {
    if (typeof value === "bigint") return value.toString();
    return value instanceof Error ? { message: value.message, stack: value.stack } : value;
  });
}

function textOf(value: unknown): string {
  if (value instanceof Error) return value.stack ?? value.message;
  if (typeof value === "string") return /[\s"]/.test(value) ? JSON.stringify(value) : value;
  if (typeof value === "object" && value !== null)
    return JSON.stringify(value, (_n, v: unknown) => (typeof v === "bigint" ? v.toString() : v));
  return String(value);
}

/** One line an entry, whatever a message holds. */
function oneLine(text: string): string {
  return text.replaceAll("\n", "\\n").replaceAll("\r", "\\r");
}
