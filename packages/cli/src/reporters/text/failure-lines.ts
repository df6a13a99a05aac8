import type { ExplainedDescriptor, FailureExplanation, RingReport, RunReport } from '@virtio-platform/runner';
import type pc from 'picocolors';
import { wrapAnsi } from 'fast-wrap-ansi';
import { hexDump } from './hex-dump.ts';

/** How the lines of a failure are made. */
export interface FailureLinesOptions {
  /** Columns of the terminal; `Infinity` where the text goes elsewhere. */
  readonly columns: number;
  readonly colors: ReturnType<typeof pc.createColors>;
}

/** The program that is the device. */
type Program = NonNullable<NonNullable<RunReport['failure']>['program']>;

/** Columns of the titles in front of each part. */
const GUTTER = 8;
/** Of a text that goes elsewhere: lines of a hex dump and of events are no longer. */
const WIDEST = 120;
/** The most descriptors that are shown; the report has more. */
const MOST_DESCRIPTORS = 8;
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const AVAIL = 1 << 7;
const USED = 1 << 15;

/**
 * The explanations of a run that went wrong as lines for people: what happened, where, what the evidence says, the ring
 * on both sides, the events, the bytes and descriptors, and the next step. The first one in full, of the others what
 * and where. No line of a wide enough terminal is longer than it. Empty where nothing is explained.
 */
export function failureLines(
  { explanations, failure }: Pick<RunReport, 'explanations' | 'failure'>,
  options: FailureLinesOptions,
): string[] {
  const [first, ...others] = explanations;
  if (first === undefined) return [];
  const page = new FailurePage(options, failure !== null);
  page.explain(first, failure?.program ?? null);
  for (const other of others) page.mention(other);
  return page.lines;
}

/** The lines of one failure, part by part. */
class FailurePage {
  readonly lines: string[] = [];
  readonly #columns: number;
  readonly #colors: FailureLinesOptions['colors'];
  /** Whether the run itself failed. */
  readonly #hasFailed: boolean;

  constructor({ columns, colors }: FailureLinesOptions, hasFailed: boolean) {
    this.#hasFailed = hasFailed;
    this.#columns = Math.max(40, columns);
    this.#colors = colors;
  }

  explain(explanation: FailureExplanation, program: Program | null): void {
    const { red, bold, dim } = this.#colors;
    const { what, where, notes, ring, bytes, descriptors, next } = explanation;
    this.#add(red(this.#titleOf(explanation)), bold(what));
    this.#add('where', where);
    if (program !== null && (program.ending !== null || program.stderrTail !== ''))
      this.#add('', describeProgram(program));
    for (const note of notes) this.#add('', note);
    if (ring !== null) this.#addRing(ring);
    this.#addEvents(explanation);
    if (bytes !== null) {
      this.#addLines('bytes', hexDump(bytes, this.#room, this.#colors));
    }
    this.#addDescriptors(descriptors, ring);
    if (next !== null) this.#add('next', dim(next));
  }

  /** Of an explanation that is not the first: what followed. */
  mention(explanation: FailureExplanation): void {
    const { red } = this.#colors;
    this.#add(red(this.#titleOf(explanation)), explanation.what);
    this.#add('where', explanation.where);
  }

  #titleOf({ kind }: FailureExplanation): string {
    if (kind === 'mismatch') return 'wrong';
    return kind === 'finding' || (kind === 'fault' && !this.#hasFailed) ? kind : 'failed';
  }

  #addRing(ring: RingReport): void {
    const { dim } = this.#colors;
    this.#addLines(
      'ring',
      ringLines(ring).map((line) => dim(line)),
    );
  }

  #addEvents({ events, eventsDropped }: FailureExplanation): void {
    const { dim } = this.#colors;
    const end = events.at(-1)?.time ?? 0;
    const lines = events.flatMap(({ time, text, isOfBuffer, skipped }, at) => {
      const gap = at > 0 && skipped > 0 ? [dim(`${' '.repeat(12)}… ${skipped} more`)] : [];
      const line = `${milliseconds(time - end)}  ${text}`;
      const cut = line.length > this.#room ? `${line.slice(0, this.#room - 1)}…` : line;
      return [...gap, isOfBuffer ? cut : dim(cut)];
    });
    if (lines.length > 0 && eventsDropped > 0)
      lines.unshift(dim(`the recorder kept the events from number ${eventsDropped.toLocaleString('en')} on`));
    this.#addLines('events', lines);
  }

  #addDescriptors(descriptors: readonly ExplainedDescriptor[], ring: RingReport | null): void {
    const shown = [...descriptors].toSorted((one, other) => Number(other.found !== null) - Number(one.found !== null));
    const kept = new Set(shown.slice(0, MOST_DESCRIPTORS));
    const isPacked = ring?.layout === 'packed';
    const lines = descriptors
      .filter((descriptor) => kept.has(descriptor))
      .flatMap((descriptor) => {
        const { isIn, index, written, found } = descriptor;
        const place = isIn === 'table' ? `  table ${index}` : isPacked ? `slot ${index}` : `desc ${index}`;
        const line = `${place.padEnd(9)} ${describeFields(written, isPacked, isIn)}`;
        if (found === null) return [line];
        return [line, this.#colors.red(`${'in memory'.padEnd(9)} ${describeFields(found, isPacked, isIn)}`)];
      });
    const more = descriptors.length - kept.size;
    if (more > 0) lines.push(this.#colors.dim(`and ${more} more descriptors`));
    this.#addLines('buffer', lines);
  }

  get #room(): number {
    return Math.min(this.#columns, WIDEST) - 2 - GUTTER - 1;
  }

  /** A sentence behind a title; its lines end at words. */
  #add(title: string, text: string): void {
    const room = this.#columns === Infinity ? Infinity : this.#columns - 2 - GUTTER - 1;
    const lines = room === Infinity ? [text] : wrapAnsi(text, room).split('\n');
    this.#addLines(title, lines);
  }

  #addLines(title: string, lines: readonly string[]): void {
    const { dim } = this.#colors;
    for (const [at, line] of lines.entries()) {
      const shown = at === 0 ? title : '';
      const margin = ' '.repeat(Math.max(1, GUTTER - plainLength(shown)));
      this.lines.push(`  ${at === 0 && !shown.includes('\u001B') ? dim(shown) : shown}${margin}${line}`.trimEnd());
    }
  }
}

/** How the program of the device is, and what it printed last. */
export function describeProgram({ ending, stderrTail }: Program): string {
  const state = ending === null ? 'the program of the device runs' : `the program of the device ended with ${ending}`;
  return stderrTail === '' ? `${state}, and printed nothing` : `${state}; it printed last: ${stderrTail}`;
}

function plainLength(text: string): number {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/\u001B\[\d{1,2}m/g, '').length;
}

function milliseconds(microseconds: number): string {
  return `${(microseconds / 1000).toFixed(3)} ms`.padStart(12);
}

function slot(position: number): string {
  return `slot ${position & 0x7fff} wrap ${position >>> 15}`;
}

/** The positions of both ends beside each other, the event fields, and the used elements and buffers in between. */
function ringLines(ring: RingReport): string[] {
  const { queue, layout, size, driver, used, eventIdx, driverEvent, deviceEvent } = ring;
  const isSplit = layout === 'split';
  const lines = [`queue ${queue}, ${layout}, ${size} entries${eventIdx ? ', EVENT_IDX' : ''}`];
  if (isSplit) {
    lines.push(`driver  avail.idx ${driver.available}, used up to ${driver.taken} taken`);
    lines.push(`device  used.idx ${used}`);
  } else lines.push(`driver  available to ${slot(driver.available)}, taken to ${slot(driver.taken)}`);
  const events = eventIdx
    ? isSplit
      ? [`used_event ${driverEvent.position}`, `avail_event ${deviceEvent.position}`]
      : [describeEvent(driverEvent), describeEvent(deviceEvent)]
    : [`flags ${driverEvent.flags}`, `flags ${deviceEvent.flags}`];
  if (isSplit) {
    lines[1] += `; ${events[0]}`;
    lines[2] += `; ${events[1]}`;
  } else lines.push(`        ${events[0]}`, `device  ${events[1]}`);
  const elements = usedLine(ring);
  if (elements !== undefined) lines.push(elements);
  lines.push(`held    ${outstandingLine(ring)}`);
  return lines;
}

function describeEvent({ flags, position }: RingReport['driverEvent']): string {
  return flags === 2 ? `event at ${slot(position)}` : flags === 0 ? 'event always' : `event never (flags ${flags})`;
}

/** The most used elements in the line. */
const MOST_ELEMENTS = 4;

/** The used elements around the driver's position: `39: id 39 length 1 taken`. */
function usedLine({ usedElements, driver, layout }: RingReport): string | undefined {
  const from = usedElements.findIndex(({ position }) => position === driver.taken);
  const around =
    from < 0 ? usedElements.slice(-2) : usedElements.slice(Math.max(0, from - 1), from + MOST_ELEMENTS - 1);
  const shown = around.filter(({ state }) => state !== 'unused');
  if (shown.length === 0) return undefined;
  const texts = shown.map(({ slot, id, state }) => `${slot}: id ${id}${state === 'taken' ? ' taken' : ''}`);
  return `${layout === 'split' ? 'used' : 'slots'}${layout === 'split' ? '    ' : '   '}${texts.join(', ')}`;
}

function outstandingLine({ outstanding, outstandingCount }: RingReport): string {
  if (outstandingCount === 0) return 'no buffer by the device';
  const ids = outstanding.slice(0, 6).map(({ id }) => id);
  const more = outstandingCount > ids.length ? ' …' : '';
  return `${outstandingCount} by the device, the oldest first: ${ids.join(', ')}${more}`;
}

function describeFields(
  { address, length, flags, next }: ExplainedDescriptor['written'],
  isPacked: boolean,
  isIn: ExplainedDescriptor['isIn'],
): string {
  const names = [
    ...((flags & INDIRECT) !== 0 ? ['INDIRECT'] : []),
    ...((flags & WRITE) !== 0 ? ['WRITE'] : []),
    ...((flags & NEXT) !== 0 ? ['NEXT'] : []),
    ...(isPacked && isIn === 'ring'
      ? [`AVAIL ${(flags & AVAIL) === 0 ? 0 : 1}`, `USED ${(flags & USED) === 0 ? 0 : 1}`]
      : []),
  ];
  const last = isPacked ? (isIn === 'ring' ? ` id ${next}` : '') : (flags & NEXT) !== 0 ? ` next ${next}` : '';
  return `${address} length ${length} ${names.join(' ') || 'READ'}${last}`;
}
