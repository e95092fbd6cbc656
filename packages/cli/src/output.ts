/** Where a training run's events go: lines of JSON for scripts, or progress and a summary for people. */
import type { JobEvent, SummaryEvent } from "@lockstep/spec";
import { progressOn } from "./progress.js";
import { summaryText } from "./summary.js";
import { terminalOf } from "./terminal.js";

export interface Output {
  event(event: JobEvent): void;
  summary(summary: SummaryEvent, folder: string): void;
  /** What goes on before the first event. */
  status(text: string): void;
  /** A sentence for people that no event carries. */
  note(text: string): void;
  /** Leaves the terminal as a next line needs it. */
  end(): void;
}

export function outputFor(json: boolean): Output {
  return json ? jsonOutput() : peopleOutput();
}

function jsonOutput(): Output {
  const nothing = () => undefined;
  const print = (event: JobEvent) => void process.stdout.write(`${JSON.stringify(event)}\n`);
  const note = (text: string) => void process.stderr.write(`${text}\n`);
  return { event: print, summary: print, status: nothing, note, end: nothing };
}

function peopleOutput(): Output {
  const terminal = terminalOf(process.stderr, process.env);
  const progress = progressOn(terminal);
  return {
    event: (event) => progress.show(event),
    status: (text) => progress.status(text),
    end: () => progress.end(),
    summary(summary, folder) {
      const out = terminalOf(process.stdout, process.env);
      out.write(`${summaryText(out, summary, folder)}\n`);
    },
    note(text) {
      progress.end();
      terminal.write(`${text}\n`);
    },
  };
}
