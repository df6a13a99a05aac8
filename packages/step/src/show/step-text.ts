import { printable } from '@virtio-platform/core';
import { statusNames } from '@virtio-platform/core/device';
import { EVENT_KINDS } from '@virtio-platform/trace';
import { changedFields, type FieldChange } from '../state/changed-fields.ts';
import type { BufferState, Owner, RunState } from '../state/run-state.ts';
import { tellStep } from '../tell/step-texts.ts';
import type { Step, Walk } from '../walk.ts';
import { wrap, type Paint } from './paint.ts';

/** Columns of a text that no terminal is there for. */
const PLAIN_COLUMNS = 80;
/** The most fields of memory that a step prints. */
const MOST_FIELDS = 24;

/** How owners are named. */
export const OWNERS: Readonly<Record<Owner, string>> = {
  driver: 'driver',
  available: 'available',
  device: 'device',
  pushed: 'written',
  used: 'used',
};

/** A step as lines of text: what happens, what changed in memory, and who has the buffers. */
export function stepText(walk: Walk, step: Step, paint: Paint, columns: number = PLAIN_COLUMNS): string[] {
  const { text, section } = tellStep(walk, step);
  const width = Math.max(40, columns) - 2;
  const says = printable(section === null ? text : `${text} (${section})`);
  const memory = fieldsText(changedFields(step.event, step.before, step.after), MOST_FIELDS);
  const buffers = step.before.buffers === step.after.buffers ? '' : buffersText(step.after.buffers);
  const labelled = (label: string, lines: string): string[] =>
    lines === '' ? [] : wrap(lines, width - 9).map((line, i) => `  ${(i === 0 ? label : '').padEnd(9)}${line}`);
  return [
    stepTitle(walk, step, paint),
    ...wrap(says, width).map((line) => `  ${line}`),
    ...labelled('memory', memory).map(paint.cyan),
    ...labelled('buffers', buffers).map(paint.dim),
  ];
}

/** `step 33 of 85  publish, queue 0, by the driver, 812 µs`. */
export function stepTitle(walk: Walk, step: Step, paint: Paint): string {
  const { time } = step.event;
  const head = paint.bold(`step ${step.at + 1} of ${walk.length}  ${kindText(step)}`);
  return `${head}  ${paint.dim(`${trackText(step)}${buffersOf(step)}, ${Math.round(time)} µs`)}`;
}

/** The name of the event's kind. */
export function kindText({ event }: Step): string {
  return EVENT_KINDS[event.kind].name;
}

function trackText({ event }: Step): string {
  const { track } = EVENT_KINDS[event.kind];
  return event.queue < 0 ? track : `${track}, queue ${event.queue}`;
}

function buffersOf({ buffers }: Step): string {
  return buffers.length === 0 ? '' : `, ${serialsText(buffers)}`;
}

/** `#3`, `#1 to #4`, `#1 #5`. */
export function serialsText(serials: readonly number[]): string {
  const [first, last] = [serials[0], serials.at(-1)];
  if (first === undefined || last === undefined) return '';
  if (serials.length > 2 && last - first === serials.length - 1) return `#${first} to #${last}`;
  return serials
    .slice(0, 8)
    .map((serial) => `#${serial}`)
    .join(' ');
}

/** The fields that changed: `avail.idx 0 -> 2, used.idx 1 -> 2`; at most `most`. */
export function fieldsText(fields: readonly FieldChange[], most: number): string {
  const several = new Set(fields.map(({ queue }) => queue)).size > 1;
  const shown = fields.slice(0, most).map(({ queue, field, before, after }) => {
    const [was, is] = [before, after].map((value) => valueText(field, value));
    return `${several ? `q${queue} ` : ''}${field} ${was} -> ${is}`;
  });
  const more = fields.length > most ? [`${fields.length - most} more`] : [];
  return [...shown, ...more].join(', ');
}

function valueText(field: string, value: bigint): string {
  return field.endsWith('.addr') || field.endsWith('.flags') ? `0x${value.toString(16)}` : value.toString();
}

/** `0 available, 1 available (#1 #2)`: who has which buffer, by id. */
function buffersText(buffers: readonly BufferState[]): string {
  if (buffers.length === 0) return 'none outstanding';
  const parts: string[] = [];
  for (const owner of ['driver', 'available', 'device', 'pushed', 'used'] as const) {
    const own = buffers.filter((buffer) => buffer.owner === owner);
    if (own.length === 0) continue;
    const ids = own.slice(0, 12).map(({ id, queue }) => (queue === 0 ? `${id}` : `${queue}:${id}`));
    parts.push(`${OWNERS[owner]} ${ids.join(' ')}${own.length > 12 ? ` and ${own.length - 12} more` : ''}`);
  }
  return parts.join(', ');
}

/** The device status by the names of its bits. */
export function statusText({ status }: RunState): string {
  return status < 0 ? 'not touched yet' : statusNames(status);
}
