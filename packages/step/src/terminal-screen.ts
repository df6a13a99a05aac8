import { emitKeypressEvents } from 'node:readline';
import type { Paint } from './show/paint.ts';
import { screenLines } from './show/screen.ts';
import type { Key, Stepper } from './stepper.ts';

/** Where keys come from: `process.stdin` of a terminal. */
export interface KeyInput extends NodeJS.ReadableStream {
  readonly isRaw?: boolean;
  setRawMode(isRaw: boolean): unknown;
  ref?(): unknown;
  unref?(): unknown;
}

/** The terminal to draw on. `write` writes at once, also while the process ends. */
export interface ScreenOutput {
  readonly size: () => { readonly columns: number; readonly rows: number };
  readonly write: (text: string) => void;
  /** Calls `listener` when the window has another size, until the returned function is called. */
  readonly onResize: (listener: () => void) => () => void;
}

/** The alternate screen, without a cursor; and back: colours off, cursor on, the screen as it was. */
const ENTER = '\u001B[?1049h\u001B[?25l\u001B[2J';
const LEAVE = '\u001B[0m\u001B[?25h\u001B[?1049l';

/**
 * Shows the steps on a terminal until somebody quits. The terminal is as before on every way out: quitting, an error,
 * the end of the input, a signal that ends the process.
 */
export async function showOnTerminal(
  stepper: Stepper,
  input: KeyInput,
  output: ScreenOutput,
  paint: Paint,
): Promise<void> {
  let isRestored = false;
  const wasRaw = input.isRaw === true;
  const restore = (): void => {
    if (isRestored) return;
    isRestored = true;
    output.write(LEAVE);
    input.setRawMode(wasRaw);
  };
  // A signal makes the command exit, and that is the only moment left then.
  process.once('exit', restore);
  let stopResizing: (() => void) | undefined;
  let onKey: ((text: unknown, key: Key) => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const draw = (): void => {
        try {
          const { columns, rows } = output.size();
          output.write(frame(screenLines(stepper.view, columns, rows, paint)));
        } catch (error) {
          reject(error);
        }
      };
      onKey = (_, key) => {
        try {
          if (!stepper.press(key)) return resolve();
          draw();
        } catch (error) {
          reject(error);
        }
      };
      emitKeypressEvents(input);
      input.setRawMode(true);
      output.write(ENTER);
      stopResizing = output.onResize(draw);
      input.on('keypress', onKey);
      input.once('end', resolve);
      input.once('error', reject);
      input.resume();
      draw();
    });
  } finally {
    stopResizing?.();
    if (onKey !== undefined) input.off('keypress', onKey);
    input.pause();
    restore();
    process.off('exit', restore);
  }
}

/** All lines over what was there, each cleared behind its end. */
function frame(lines: readonly string[]): string {
  return `\u001B[H${lines.map((line) => `${line}\u001B[K`).join('\r\n')}\u001B[J`;
}
