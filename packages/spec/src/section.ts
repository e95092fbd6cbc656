/** One mapping of a spec being read: typed fields with ranges and defaults, each error naming the field's full path. */
import { InputError } from "./input-error.js";
import { suggestion } from "./suggestion.js";

/** Where a spec came from, for the first part of every error. */
export interface Origin {
  /** "job.yaml". */
  readonly name: string;
  /** Fields that came from elsewhere: "optimizer.learningRate" -> "--lr". */
  readonly fields?: ReadonlyMap<string, string> | undefined;
}

/** Allowed values of a number, both ends included unless `above` or `below` says otherwise. */
export interface NumberRange {
  readonly min?: number;
  readonly max?: number;
  readonly above?: number;
  readonly below?: number;
}

export class Section {
  readonly origin: Origin;
  /** "" for the whole spec, else "optimizer". */
  readonly path: string;
  private readonly values: ReadonlyMap<string, unknown>;

  /** @throws InputError where `value` is no mapping or has a key outside `known`. */
  constructor(origin: Origin, path: string, value: unknown, known: readonly string[]) {
    this.origin = origin;
    this.path = path;
    if (!isMapping(value)) throw wrong(origin, path, value, `a mapping with ${list(known)}`);
    this.values = new Map(Object.entries(value).filter(([, field]) => field !== undefined && field !== null));
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue;
      const meant = suggestion(key, known);
      const allowed = meant === undefined ? list(known) : `${list(known)} (did you mean "${meant}"?)`;
      throw new InputError({ where: whereOf(origin, joined(path, key)), found: "an unknown key", allowed });
    }
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  /** The field as it stands; undefined where it is missing or null. */
  raw(key: string): unknown {
    return this.values.get(key);
  }

  pathOf(key: string): string {
    return joined(this.path, key);
  }

  /** "job.yaml: optimizer.learningRate". */
  where(key: string): string {
    return whereOf(this.origin, this.pathOf(key));
  }

  /** The error for a field whose value is not `allowed`. */
  wrong(key: string, allowed: string): InputError {
    return wrong(this.origin, this.pathOf(key), this.raw(key), allowed);
  }

  /** The mapping under `key`; an empty one where it is missing. */
  section(key: string, known: readonly string[]): Section {
    return new Section(this.origin, this.pathOf(key), this.raw(key) ?? {}, known);
  }

  /** Without a fallback the field is required. */
  integer(key: string, min: number, max: number, fallback?: number): number {
    const value = this.raw(key) ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    throw this.wrong(key, `a whole number from ${grouped(min)} to ${grouped(max)}`);
  }

  /** Without a fallback the field is required. */
  number(key: string, range: NumberRange, fallback?: number): number {
    const value = this.raw(key) ?? fallback;
    if (typeof value === "number" && inRange(value, range)) return value;
    throw this.wrong(key, rangeText(range));
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.raw(key) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.wrong(key, "true or false");
  }

  /** One of a list of names; a near miss is suggested. Without a fallback the field is required. */
  oneOf<Name extends string>(key: string, names: readonly Name[], fallback?: Name): Name {
    const value = this.raw(key) ?? fallback;
    const name = names.find((known) => known === value);
    if (name !== undefined) return name;
    const meant = typeof value === "string" ? suggestion(value, names) : undefined;
    throw this.wrong(key, meant === undefined ? list(names) : `${list(names)} (did you mean "${meant}"?)`);
  }
}

/** "job.yaml: optimizer.learningRate", or the flag that the field came from. */
export function whereOf(origin: Origin, path: string): string {
  const flag = origin.fields?.get(path);
  if (flag !== undefined) return flag;
  return path === "" ? origin.name : `${origin.name}: ${path}`;
}

export function wrong(origin: Origin, path: string, value: unknown, allowed: string): InputError {
  return new InputError({ where: whereOf(origin, path), found: shown(value), allowed });
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as an error shows it: short, and never a whole document. */
export function shown(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "a mapping";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return `a ${typeof value}`;
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
}

const joined = (path: string, key: string) => (path === "" ? key : `${path}.${key}`);
const list = (names: readonly string[]) => names.join(", ");

function inRange(value: number, { min = -Infinity, max = Infinity, above, below }: NumberRange): boolean {
  if (!Number.isFinite(value) || value < min || value > max) return false;
  return (above === undefined || value > above) && (below === undefined || value < below);
}

function rangeText({ min, max, above, below }: NumberRange): string {
  const low = above !== undefined ? `above ${grouped(above)}` : min !== undefined ? `${grouped(min)} or more` : "";
  const high = below !== undefined ? `below ${grouped(below)}` : max !== undefined ? `at most ${grouped(max)}` : "";
  return `a number${[low, high]
    .filter((part) => part !== "")
    .map((part, index) => (index === 0 ? ` ${part}` : ` and ${part}`))
    .join("")}`;
}

/** 100000 as "100,000"; 2^53-1 by its name. */
function grouped(value: number): string {
  if (value === Number.MAX_SAFE_INTEGER) return "2^53-1";
  return Number.isInteger(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, ",") : String(value);
}
