/** A job's events for people: one live line an epoch on a terminal, plain lines elsewhere. */
import type { EpochEvent, JobEvent, ProgressEvent } from "@lockstep/spec";
import { duration, percent, plural, rate } from "./quantities.js";
import { printable, styled, type Terminal } from "./terminal.js";

export interface Progress {
  show(event: JobEvent): void;
  /** Something that is going on before the first event, such as "Reading the dataset". */
  status(text: string): void;
  /** Leaves the terminal as a next line needs it. */
  end(): void;
}

/** Time between two plain lines of one phase, where lines cannot be redrawn. */
const plainLineMs = 10_000;

export function progressOn(terminal: Terminal, now: () => number = Date.now): Progress {
  let drawn = false;
  let lastPlain = now();
  const clear = () => {
    if (drawn) terminal.write("\r\u001b[K");
    drawn = false;
  };
  const line = (text: string) => {
    clear();
    terminal.write(`${text}\n`);
  };
  const live = (text: string) => {
    terminal.write(`\r${text}\u001b[K`);
    drawn = true;
  };
  const progress = (event: ProgressEvent) => {
    if (terminal.live) return live(progressLine(terminal, event));
    if (now() - lastPlain < plainLineMs) return;
    lastPlain = now();
    line(progressLine(terminal, event));
  };
  return {
    status(text) {
      if (terminal.live) live(styled(terminal, "dim", text.slice(0, terminal.width() - 1)));
      else line(text);
    },
    end: clear,
    show(event) {
      if (event.type === "progress") return progress(event);
      lastPlain = now();
      for (const text of linesOf(terminal, event)) line(text);
      if (event.type === "phase" && event.phase === "preparing") this.status("Hashing the files");
      if (event.type === "dataset") this.status("Decoding the images and starting workers");
      if (event.type === "phase" && event.phase === "publishing") this.status("Writing the model");
    },
  };
}

/** What stays on the screen of an event. The summary has a place of its own, after the end. */
function linesOf(terminal: Terminal, event: JobEvent): string[] {
  switch (event.type) {
    case "job": {
      const cluster = `${plural(event.workers, "worker")}, ${plural(event.dataShards, "data-shard")}`;
      return [`${styled(terminal, "bold", printable(event.run))}  ${cluster}, writes to ${printable(event.folder)}`];
    }
    case "dataset": {
      const counts = `${event.train} to train, ${event.validation} to validate, ${event.test} to test`;
      const classes = classList(event.classes, Math.max(20, terminal.width() - 24));
      return [`${plural(event.classes.length, "class", "classes")}: ${classes}`, `${event.format} images: ${counts}`];
    }
    case "epoch":
      return [epochLine(terminal, event)];
    case "log": {
      if (event.level !== "warn" && event.level !== "error") return [];
      return [`${styled(terminal, "yellow", printable(event.source))}: ${printable(event.message)}`];
    }
    case "checkpoint":
      return ["What was trained is saved:", ...event.files.map((file) => `  ${printable(file)}`)];
    case "phase":
    case "progress":
    case "error":
    case "summary":
      return [];
  }
}

function classList(classes: readonly string[], width: number): string {
  let text = "";
  for (const [index, name] of classes.entries()) {
    const next = index === 0 ? printable(name) : `${text}, ${printable(name)}`;
    if (next.length > width) return `${text}, ...`;
    text = next;
  }
  return text;
}

/** Words where there is room for them, short forms else; what still does not fit is dropped, least needed first. */
function epochLine(terminal: Terminal, event: EpochEvent): string {
  const { epoch, epochs, loss, accuracy, valLoss, valAccuracy } = event;
  const label = epochLabel(epoch, epochs);
  const validated = valLoss !== null && valAccuracy !== null;
  const words = [`loss ${loss.toFixed(4)}`, `accuracy ${percent(accuracy)}`];
  if (validated) words.push(`validation loss ${valLoss.toFixed(4)}`, `accuracy ${percent(valAccuracy)}`);
  words.push(rate(event.imagesPerSecond), duration(event.seconds));
  const room = terminal.live ? terminal.width() - 1 : Infinity;
  const parts = textLength(label, words) <= room ? words : words.map(shortened);
  while (parts.length > 2 && textLength(label, parts) > room) parts.pop();
  const best = validated && parts.length >= 4 ? 3 : 1;
  const coloured = parts.map((part, index) => (index === best ? styled(terminal, "green", part) : part));
  return [styled(terminal, "bold", label), ...coloured].join("  ");
}

function shortened(words: string): string {
  return words.replace("accuracy", "acc").replace("validation", "val").replace("images/s", "img/s");
}

const textLength = (label: string, parts: readonly string[]) =>
  parts.reduce((sum, part) => sum + 2 + part.length, label.length);

const epochLabel = (epoch: number, epochs: number) =>
  `Epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}`;

const phaseVerbs = { train: "", validation: " validating", test: " testing" } as const;

const barColumnsMax = 28;
const barColumnsMin = 6;

/** Figures keep their columns from line to line; what does not fit is dropped, least needed first: the line never wraps. */
function progressLine(terminal: Terminal, event: ProgressEvent): string {
  const share = event.samplesTotal === 0 ? 1 : event.samples / event.samplesTotal;
  const left = event.secondsLeft === null ? "" : `${duration(event.secondsLeft)} left`;
  const label = `${epochLabel(event.epoch, event.epochs)}${phaseVerbs[event.phase]}`;
  const figures = [
    `${String(Math.floor(share * 100)).padStart(3)}%`,
    `loss ${event.loss.toFixed(4)}`,
    `acc ${percent(event.accuracy).padStart(6)}`,
    shortened(rate(event.imagesPerSecond)).padStart(12),
    left.padStart(10),
  ];
  const width = terminal.width() - 1;
  if (!terminal.live) return [label, ...figures.map((figure) => figure.trim())].join("  ").trimEnd();
  while (figures.length > 1 && textLength(label, figures) > width) figures.pop();
  const room = Math.min(barColumnsMax, width - textLength(label, figures) - 2);
  const bar = room < barColumnsMin ? [] : [barOf(terminal, share, room)];
  const line = [label, ...bar, ...figures].join("  ");
  return bar.length === 0 ? line.slice(0, width) : line;
}

function barOf(terminal: Terminal, share: number, columns: number): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * columns);
  return styled(terminal, "cyan", "\u2588".repeat(full)) + styled(terminal, "dim", "\u2591".repeat(columns - full));
}
