import { printable } from '@virtio-platform/core';
import { changedFields } from '../state/changed-fields.ts';
import { queueOf, type QueueState } from '../state/run-state.ts';
import { tellStep } from '../tell/step-texts.ts';
import type { Step, Walk } from '../walk.ts';
import { eventList } from './event-list.ts';
import { HELP } from './help.ts';
import { memoryPanel } from './memory-panel.ts';
import { negotiationPanel } from './negotiation-panel.ts';
import { fit, wrap, type Paint } from './paint.ts';
import { panelLine, type PanelLine, type Room } from './panel.ts';
import { ringPanel } from './ring-panel.ts';
import { fieldsText, kindText, OWNERS, serialsText, statusText } from './step-text.ts';

/** What a screen shows. */
export interface ScreenView {
  readonly walk: Walk;
  readonly at: number;
  /** The serial of the buffer that is followed; `null` for all events. */
  readonly following: number | null;
  /** The line at the bottom where there is something to say; `null` for the keys. */
  readonly message: string | null;
  readonly isHelp: boolean;
}

/** Below this a screen shows only what happens. */
const LEAST_COLUMNS = 60;
/** From here on the header names platform, machine and device too. */
const WIDE = 100;
/** Lines of the panels. */
const LEAST_PANEL = 7;
/** Characters of a text that most are not longer than. */
const USUAL_TEXT = 330;
/** The most fields of memory that a screen names. */
const MOST_FIELDS = 24;

/** The lines of the screen: exactly `rows`, of at most `columns` characters. */
export function screenLines(view: ScreenView, columns: number, rows: number, paint: Paint): string[] {
  const { walk, at } = view;
  const step = walk.step(at);
  const head = [paint.inverse(fit(headerText(walk, step, columns), columns))];
  const foot = footLines(view, step, columns, paint);
  const room = rows - head.length - foot.length;
  const body = view.isHelp ? helpLines(columns, room) : bodyLines(view, step, columns, room, paint);
  const filled = [...body.slice(0, Math.max(0, room)), ...Array<string>(Math.max(0, room - body.length)).fill('')];
  return [...head, ...filled, ...foot].slice(0, rows);
}

function headerText({ recording, length }: Walk, { at, event }: Step, columns: number): string {
  const { name, platform, machine, device } = recording;
  const more = columns < WIDE ? [] : [platform, machine, device].filter((part) => part !== null);
  const who = [name, ...more].map(printable).join(' · ');
  const where = `step ${at + 1} of ${length}  ${Math.round(event.time)} µs `;
  return ` ${fit(who, columns - where.length - 2)} ${where}`;
}

function footLines(view: ScreenView, step: Step, columns: number, paint: Paint): string[] {
  const { message, following } = view;
  const { after } = step;
  const owners = (['driver', 'available', 'device', 'pushed', 'used'] as const)
    .map((owner) => [owner, after.buffers.filter((buffer) => buffer.owner === owner).length] as const)
    .filter(([, count]) => count > 0)
    .map(([owner, count]) => `${OWNERS[owner]} ${count}`);
  const buffers = owners.length === 0 ? 'none' : owners.join(', ');
  const status = columns < WIDE ? statusText(after).replace(BEFORE_DRIVER_OK, '') : statusText(after);
  const state = ` ${status}   buffers: ${buffers} (${after.returned} of ${after.added} back)`;
  const keys = following === null ? KEYS : `following #${following}: b ends it  ${KEYS}`;
  return [paint.dim(fit(state, columns)), fit(` ${message === null ? keys : printable(message)}`, columns)];
}

/** The bits that a device with DRIVER_OK has too. */
const BEFORE_DRIVER_OK = /^ACKNOWLEDGE\|DRIVER\|FEATURES_OK\|(?=DRIVER_OK)/;

const KEYS = 'right/left step  PgUp/PgDn ten  g/G ends  / search  b follow  ? help  q quit';

function helpLines(columns: number, rows: number): string[] {
  return HELP.slice(0, rows).map((line) => fit(line, columns).trimEnd());
}

function bodyLines(view: ScreenView, step: Step, columns: number, rows: number, paint: Paint): string[] {
  const { text, section } = tellStep(view.walk, step);
  const says = wrap(printable(section === null ? text : `${text} (${section})`), columns - 3);
  const memory = wrap(fieldsText(changedFields(step.event, step.before, step.after), MOST_FIELDS), columns - 11);
  const title = `${kindText(step)}${step.event.queue < 0 ? '' : `, queue ${step.event.queue}`}  ${serialsText(step.buffers)}`;
  // The panels stay where they are while the texts are of usual length.
  const usual = Math.max(3, Math.ceil(USUAL_TEXT / columns));
  const most = Math.max(usual, Math.min(says.length, rows - LEAST_PANEL - 3));
  const shown = says.slice(0, most).map((line) => `  ${line}`);
  const changed = memory
    .slice(0, most + 1 - shown.length)
    .map((line, i) => `  ${i === 0 ? 'memory ' : '       '} ${line}`);
  const cut = changed.length < memory.length && changed.length > 0 ? [`${changed.pop()!.slice(0, columns - 2)}…`] : [];
  const gap = Array<string>(Math.max(0, most + 1 - shown.length - changed.length - cut.length)).fill('');
  const top = [
    paint.bold(fit(` ${title}`, columns)),
    ...shown.map((line) => fit(line, columns)),
    ...[...changed, ...cut].map((line) => paint.cyan(fit(line, columns))),
    ...gap,
    paint.dim('-'.repeat(columns)),
  ];
  const room = rows - top.length;
  if (columns < LEAST_COLUMNS || room < LEAST_PANEL) return top;
  return [...top, ...panels(view, step, { rows: room, width: columns, paint })];
}

/** The panels side by side. */
function panels(view: ScreenView, step: Step, { rows, width, paint }: Room): string[] {
  const left = Math.ceil((width - 1) / 2);
  const right = width - 1 - left;
  const queue = shownQueue(step);
  const one =
    queue === undefined
      ? negotiationPanel(step.after, rows, paint)
      : ringPanel(step, queue, { rows, width: left, paint });
  const events = Math.min(Math.max(4, Math.floor(rows * 0.4)), 14);
  const upper = rows - events;
  const memory = memoryPanel(view.walk.recording, step, { rows: upper, width: right, paint }).slice(0, upper);
  const gap = Array.from({ length: upper - memory.length }, (): PanelLine => ({ text: '' }));
  const two = [...memory, ...gap, ...eventList(view.walk, step.at, view.following, events, paint)];
  const empty: PanelLine = { text: '' };
  return Array.from({ length: rows }, (_, i) => {
    const [before, behind] = [panelLine(one[i] ?? empty, left), panelLine(two[i] ?? empty, right)];
    return `${before}${paint.dim('|')}${behind}`;
  });
}

/** The queue of the event, or the one with buffers, or the first; `undefined` while there is none. */
function shownQueue({ event, after, buffers }: Step): QueueState | undefined {
  if (event.kind === 'negotiation') return undefined;
  const named = after.buffers.find(({ serial }) => buffers.includes(serial)) ?? after.buffers[0];
  return queueOf(after, event.queue) ?? (named && queueOf(after, named.queue)) ?? after.queues[0];
}
