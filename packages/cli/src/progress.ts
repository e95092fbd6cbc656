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
      if (event.type === "phase" && event.phase === "preparing") this.status("Starting the cluster");
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
    case "phase":
    case "progress":
    case "checkpoint":
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

function epochLine(terminal: Terminal, event: EpochEvent): string {
  const { epoch, epochs, loss, accuracy, valLoss, valAccuracy } = event;
  const parts = [`loss ${loss.toFixed(4)}`, `accuracy ${percent(accuracy)}`];
  if (valLoss !== null && valAccuracy !== null) {
    parts.push(`validation loss ${valLoss.toFixed(4)}`, styled(terminal, "green", `accuracy ${percent(valAccuracy)}`));
  }
  parts.push(rate(event.imagesPerSecond), duration(event.seconds));
  return `${styled(terminal, "bold", epochLabel(epoch, epochs))}  ${parts.join("  ")}`;
}

const epochLabel = (epoch: number, epochs: number) =>
  `Epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}`;

const phaseVerbs = { train: "", validation: "validating", test: "testing" } as const;

/** Drops what does not fit, least needed first, so that the line never wraps. */
function progressLine(terminal: Terminal, event: ProgressEvent): string {
  const verb = phaseVerbs[event.phase];
  const share = event.samplesTotal === 0 ? 1 : event.samples / event.samplesTotal;
  const label = [epochLabel(event.epoch, event.epochs), verb].filter((part) => part !== "").join(" ");
  const left = event.secondsLeft === null ? "" : `${duration(event.secondsLeft)} left`;
  const figures = [
    `${String(Math.floor(share * 100)).padStart(3)}%`,
    `loss ${event.loss.toFixed(4)}`,
    `accuracy ${percent(event.accuracy)}`,
    rate(event.imagesPerSecond),
    left,
  ].filter((part) => part !== "");
  const width = terminal.width() - 1;
  const length = () => label.length + figures.reduce((sum, figure) => sum + 2 + figure.length, 0);
  while (figures.length > 1 && length() > width) figures.pop();
  const room = Math.min(28, width - length() - 2);
  const bar = terminal.live && room >= 6 ? `  ${barOf(terminal, share, room)}` : "";
  const line = `${label}${bar}  ${figures.join("  ")}`;
  return bar === "" ? line.slice(0, width) : line;
}

function barOf(terminal: Terminal, share: number, columns: number): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * columns);
  return styled(terminal, "cyan", "\u2588".repeat(full)) + styled(terminal, "dim", "\u2591".repeat(columns - full));
}
