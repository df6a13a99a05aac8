import { printable } from '@virtio-platform/core';
import pc from 'picocolors';
import wrapAnsi from 'wrap-ansi';

type Colors = ReturnType<typeof pc.createColors>;

/** Where text is written to. */
export interface TextStream {
  readonly isTTY?: boolean;
  write(text: string, done?: () => void): boolean;
}

/** The streams of a command, as `process` has them. */
export interface OutputStreams {
  readonly stdout: TextStream & { readonly columns?: number };
  readonly stderr: TextStream;
  /** Folder that relative paths of the user are resolved against. */
  readonly cwd: string;
}

/**
 * The one way to the terminal: colour only on a terminal, unless NO_COLOR or FORCE_COLOR says otherwise. Escapes what a
 * terminal would act on, but for line ends and the colours of this class; a caller passes data through
 * {@link printableData} before it lays out lines of it.
 */
export class Terminal {
  readonly columns: number;
  readonly cwd: string;
  readonly colors: Colors;
  readonly errorColors: Colors;
  readonly #streams: OutputStreams;

  constructor(streams: OutputStreams) {
    this.#streams = streams;
    this.cwd = streams.cwd;
    this.columns = streams.stdout.columns ?? Infinity;
    this.colors = pc.createColors(hasColor(streams.stdout.isTTY === true));
    this.errorColors = pc.createColors(hasColor(streams.stderr.isTTY === true));
  }

  get showsProgress(): boolean {
    return this.#streams.stderr.isTTY === true;
  }

  print(text: string): void {
    this.#streams.stdout.write(`${escapeLines(text, this.colors.isColorSupported)}\n`);
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
    const indent = prefix === '' ? 2 : prefix.length;
    const isWide = this.columns >= LEAST_COLUMNS && this.columns < Infinity;
    const [first = '', ...others] = isWide ? wrapAnsi(text, this.columns - indent - 1).split('\n') : [text];
    this.print([prefix + first, ...others.map((line) => ' '.repeat(indent) + line)].join('\n'));
  }

  /** Prints a value as JSON. A program reads the characters of `value`; a terminal sees their escapes. */
  printJson(value: unknown): void {
    this.#streams.stdout.write(`${toJson(value, 2)}\n`);
  }

  printError(text: string): void {
    this.#streams.stderr.write(`${escapeLines(text, this.errorColors.isColorSupported)}\n`);
  }

  /** Prints a value as JSON in one line, on standard error. */
  printErrorJson(value: unknown): void {
    this.#streams.stderr.write(`${toJson(value)}\n`);
  }

  /** Replaces the line the cursor is in, on standard error; an empty text clears it. */
  showLine(text: string): void {
    this.#streams.stderr.write(`\r\u001B[K${printable(text)}`);
  }
}

/** A terminal that is narrower breaks lines itself. */
const LEAST_COLUMNS = 40;

/** NO_COLOR goes before FORCE_COLOR; an empty value counts as none, and FORCE_COLOR=0 as no colour. */
function hasColor(isTerminal: boolean): boolean {
  const { NO_COLOR: none = '', FORCE_COLOR: force = '' } = process.env;
  if (none !== '') return false;
  return force === '' ? isTerminal : force !== '0' && force !== 'false';
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
