import { stripVTControlCharacters } from 'node:util';
import { printable } from '@virtio-platform/core/errors';
import type { KeyInput, ScreenOutput } from '@virtio-platform/step';
import pc from 'picocolors';
import { wrapAnsi } from 'fast-wrap-ansi';

type Colors = ReturnType<typeof pc.createColors>;

/** Where text is written to. */
export interface TextStream {
  readonly isTTY?: boolean;
  write(text: string, done?: () => void): boolean;
}

/** A terminal as a whole: its keys, and its window. */
export interface TerminalScreen {
  readonly input: KeyInput;
  readonly output: ScreenOutput;
}

/** The streams of a command, as `process` has them. */
export interface OutputStreams {
  readonly stdout: TextStream & { readonly columns?: number | undefined };
  /** The terminal behind these streams, for a command that takes keys; `undefined` where there is none. */
  readonly screen?: (() => TerminalScreen | undefined) | undefined;
  readonly stderr: TextStream;
  /** Folder that relative paths of the user are resolved against. */
  readonly cwd: string;
}

/**
 * The one way to the terminal: colour only on a terminal that has it, unless NO_COLOR or FORCE_COLOR says otherwise.
 * Escapes what a terminal would act on, but for line ends and the colours of this class; a caller passes data through
 * {@link printableData} before it lays out lines of it.
 */
export class Terminal {
  readonly columns: number;
  readonly cwd: string;
  readonly colors: Colors;
  readonly errorColors: Colors;
  /** When something was written last, in the time of `performance.now()`. */
  lastOutputAt: number = performance.now();
  readonly #streams: OutputStreams;
  #hasPrinted = false;
  /** Whether the line the cursor is in, on standard error, is one of {@link showLine}. */
  #isLineShown = false;

  /** `color: false` has none, whatever the environment says: for a file. */
  constructor(streams: OutputStreams, { color = true }: { readonly color?: boolean } = {}) {
    this.#streams = streams;
    this.cwd = streams.cwd;
    this.columns = streams.stdout.columns ?? Infinity;
    this.colors = pc.createColors(color && hasColor(streams.stdout.isTTY === true));
    this.errorColors = pc.createColors(hasColor(streams.stderr.isTTY === true));
  }

  /** Whether a line on standard error can be replaced. */
  get canReplaceLine(): boolean {
    return this.#streams.stderr.isTTY === true && !isDumb();
  }

  /** The terminal to draw on and take keys from; `undefined` where text is to be printed instead. */
  openScreen(): TerminalScreen | undefined {
    return this.#streams.screen?.();
  }

  print(text: string): void {
    this.#write(this.#streams.stdout, `${escapeLines(text, this.colors.isColorSupported)}\n`);
  }

  /** Prints an empty line, where something stands before it. */
  printGap(): void {
    if (this.#hasPrinted) this.print('');
  }

  /** Prints a sentence behind `indent` blanks. On a terminal its lines end at words and begin behind the blanks. */
  printSentence(indent: number, text: string): void {
    const margin = ' '.repeat(indent);
    const isWide = this.columns >= LEAST_COLUMNS && this.columns < Infinity;
    const lines = isWide ? wrapAnsi(text, this.columns - indent - 1).split('\n') : [text];
    this.print(lines.map((line) => margin + line).join('\n'));
  }

  /**
   * Prints a sentence behind `prefix`. On a terminal its lines end at words, and those after the first begin below its
   * first word, or two blanks in where there is no prefix.
   */
  printHanging(prefix: string, text: string): void {
    const indent = prefix === '' ? 2 : stripVTControlCharacters(prefix).length;
    const isWide = this.columns >= LEAST_COLUMNS && this.columns < Infinity;
    const [first = '', ...others] = isWide ? wrapAnsi(text, this.columns - indent - 1).split('\n') : [text];
    this.print([prefix + first, ...others.map((line) => ' '.repeat(indent) + line)].join('\n'));
  }

  /** Prints a value as JSON. A program reads the characters of `value`; a terminal sees their escapes. */
  printJson(value: unknown): void {
    this.#write(this.#streams.stdout, `${toJson(value, 2)}\n`);
  }

  /** Prints a value as JSON in one line. */
  printJsonLine(value: unknown): void {
    this.#write(this.#streams.stdout, `${toJson(value)}\n`);
  }

  printError(text: string): void {
    this.#write(this.#streams.stderr, `${escapeLines(text, this.errorColors.isColorSupported)}\n`);
  }

  /** Prints a value as JSON in one line, on standard error. */
  printErrorJson(value: unknown): void {
    this.#write(this.#streams.stderr, `${toJson(value)}\n`);
  }

  /**
   * Replaces the line the cursor is in, on standard error, by at most one line; an empty text clears it, as any other
   * output does.
   */
  showLine(text: string): void {
    if (text === '' && !this.#isLineShown) return;
    const room = Math.max(1, (this.columns === Infinity ? 80 : this.columns) - 1);
    this.#isLineShown = text !== '';
    this.#streams.stderr.write(`\r\u001B[K${shorten(printable(text), room)}`);
  }

  #write(stream: TextStream, text: string): void {
    this.showLine('');
    this.lastOutputAt = performance.now();
    if (stream === this.#streams.stdout) this.#hasPrinted = true;
    stream.write(text);
  }
}

/** A text of at most `room` characters, of at least 1: the middle of a longer one is left out. */
export function shorten(text: string, room: number): string {
  if (text.length <= room) return text;
  const characters = Array.from(text);
  if (characters.length <= room) return text;
  const tail = Math.floor((room - 1) / 2);
  const head = characters.slice(0, room - 1 - tail);
  return [...head, '…', ...characters.slice(characters.length - tail)].join('');
}

/** A terminal that is narrower breaks lines itself. */
const LEAST_COLUMNS = 40;

/**
 * NO_COLOR goes before FORCE_COLOR, and that before TERM=dumb; an empty value counts as none, and FORCE_COLOR=0 as no
 * colour.
 */
function hasColor(isTerminal: boolean): boolean {
  const { NO_COLOR: none = '', FORCE_COLOR: force = '' } = process.env;
  if (none !== '') return false;
  return force === '' ? isTerminal && !isDumb() : force !== '0' && force !== 'false';
}

/** Whether the terminal understands no escape sequence. */
function isDumb(): boolean {
  return process.env['TERM'] === 'dumb';
}

/**
 * `value` with every text in it as {@link printable} gives it: of a report, an explanation, a table. For plain data, as
 * JSON has it.
 */
export function printableData<T>(value: T): T {
  // The only untyped border: the copy has the structure of the value, and texts stay texts.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return copyPrintable(value) as T;
}

function copyPrintable(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return value.map(copyPrintable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [printable(key), copyPrintable(part)]));
}

/** Line ends, and the colours of picocolors (SGR). */
const LINE_END = /(\r?\n)/;
// oxlint-disable-next-line no-control-regex
const LINE_END_OR_COLOR = /(\r?\n|\u001B\[\d{1,2}m)/;

function escapeLines(text: string, isColored: boolean): string {
  const parts = text.split(isColored ? LINE_END_OR_COLOR : LINE_END);
  return parts.map((part, i) => (i % 2 === 1 ? part : printable(part))).join('');
}

/** JSON escapes C0 itself. */
function toJson(value: unknown, indent?: number): string {
  return (JSON.stringify(value, undefined, indent) ?? 'null').replace(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, unicodeEscape);
}

function unicodeEscape(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
