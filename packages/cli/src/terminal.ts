/** What the output can show: colour, width, lines that are drawn over. */

export interface Terminal {
  /** A live line can be redrawn. */
  readonly live: boolean;
  readonly colour: boolean;
  /** Columns now; it changes as the window does. */
  width(): number;
  write(text: string): void;
}

/** Progress goes to standard error, so that standard output stays free for what was asked for. */
export function terminalOf(stream: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): Terminal {
  const live = stream.isTTY && environment["TERM"] !== "dumb";
  const noColour = (environment["NO_COLOR"] ?? "") !== "";
  return {
    live,
    colour: live && !noColour,
    width: () => Math.max(20, stream.columns ?? 80),
    write: (text) => void stream.write(text),
  };
}

const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof styles;

export function styled(terminal: Terminal, style: Style, text: string): string {
  return terminal.colour ? `\u001b[${styles[style]}m${text}\u001b[0m` : text;
}

/** One line without control characters: those of names and messages from outside must not reach the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
