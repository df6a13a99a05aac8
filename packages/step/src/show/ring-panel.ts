import { VIRTIO_RING_F_EVENT_IDX } from '@virtio-platform/core/features';
import {
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_USED,
  VIRTQ_DESC_F_WRITE,
} from '@virtio-platform/core/queue';
import { ringView, type Descriptor, type RingView } from '../state/ring-view.ts';
import { hasFeature, type BufferState, type Owner, type QueueState, type RunState } from '../state/run-state.ts';
import type { Step } from '../walk.ts';
import type { Paint } from './paint.ts';
import { columnsOf, windowOf, type PanelLine, type Room } from './panel.ts';
import { ringFields } from './ring-fields.ts';
import { OWNERS } from './step-text.ts';

/** The ring of one queue, as its memory is after a step: `rows` lines at most. */
export function ringPanel(step: Step, queue: QueueState, { rows, width, paint }: Room): PanelLine[] {
  const { after } = step;
  const view = ringView(queue);
  const own = after.buffers.filter((buffer) => buffer.queue === queue.index);
  const layout = view === undefined ? '' : `, ${view.place.layout}`;
  const title = `RING of queue ${queue.index}${layout}, ${queue.size} entries`;
  const head = [
    { text: title, paint: paint.bold },
    ...fieldLines(after, queue, view, width).map((text) => ({ text, paint: paint.cyan })),
  ];
  const room = rows - head.length;
  if (view === undefined) return [...head, ...bufferLines(step, own, { rows: room, width, paint })];
  return [...head, ...slotLines(step, view, own, { rows: room, width, paint })];
}

/** The fields of the ring, as many on a line as there is room for. */
function fieldLines(state: RunState, queue: QueueState, view: RingView | undefined, width: number): string[] {
  const lines: string[] = [];
  for (const { name, value } of ringFields(queue, view, hasFeature(state, VIRTIO_RING_F_EVENT_IDX))) {
    const text = `${name} ${value}`;
    const last = lines.at(-1);
    if (last !== undefined && last.length + 2 + text.length <= width) lines[lines.length - 1] = `${last}  ${text}`;
    else lines.push(text);
  }
  return lines;
}

/** One line of the table of slots. */
interface SlotLine {
  readonly slot: number;
  readonly cells: readonly string[];
  readonly paint: (text: string) => string;
}

/** The columns of the table; the last one is left out where there is no room for it. */
const SLOT_COLUMNS = ['slot', 'address', 'bytes', 'flg', 'owner', 'next'] as const;
const RIGHT = new Set(['slot', 'bytes', 'next', 'id', 'buffer', 'segments']);

function slotLines(step: Step, view: RingView, own: readonly BufferState[], { rows, width, paint }: Room): PanelLine[] {
  const { after, buffers } = step;
  const owners = new Map(own.flatMap((buffer) => buffer.slots.map((slot) => [slot, buffer] as const)));
  const named = own.filter(({ serial }) => buffers.includes(serial));
  const shown = (named.length > 0 ? named : own).flatMap(({ slots }) => slots);
  const first = shown.length === 0 ? nextSlot(after, view) : shown[0]!;
  const lines: SlotLine[] = [];
  // Around the slots in question; a ring may have 32768.
  const near = windowOf(view.place.size, 2 * rows, first, first);
  for (let slot = near.from; slot < near.to; slot++)
    lines.push(...linesOfSlot(view, slot, owners.get(slot), named.includes(owners.get(slot)!), paint));
  const from = Math.max(
    0,
    lines.findIndex(({ slot }) => slot === first),
  );
  const to = Math.max(
    from,
    lines.findLastIndex(({ slot }) => shown.includes(slot)),
  );
  const part = windowOf(lines.length, rows - 1, from, Math.min(to, from + rows - 2));
  const visible = lines.slice(part.from, part.to);
  const names = SLOT_COLUMNS.map((name) => (name === 'next' && view.packed !== undefined ? 'id' : name));
  const table = columnsOf([names, ...visible.map(({ cells }) => cells)], names, RIGHT, width - 1);
  return table.map((text, i) =>
    i === 0
      ? { text: ` ${text}`, paint: paint.dim }
      : { text: `${visible[i - 1]!.cells.at(-1)!}${text}`, paint: visible[i - 1]!.paint },
  );
}

/** A slot, and behind one that refers to a table of a buffer in question, the entries of the table. */
function linesOfSlot(
  view: RingView,
  slot: number,
  owner: BufferState | undefined,
  isNamed: boolean,
  paint: Paint,
): SlotLine[] {
  const descriptor = view.descriptor(slot);
  const color = painter(owner?.owner, paint);
  const mark = isNamed ? '>' : ' ';
  const cells = [...descriptorCells(descriptor, view, owner === undefined ? '' : SHORT[owner.owner]), mark];
  const line: SlotLine = { slot, cells, paint: color };
  if (!isNamed || owner?.isIndirect !== true) return [line];
  const entries = view.table(descriptor).map((entry) => {
    const [at, ...rest] = descriptorCells(entry, view, '');
    return { slot, cells: [`+${at!}`, ...rest, ' '], paint: color };
  });
  return [line, ...entries];
}

/** Owners where there is little room. */
const SHORT: Readonly<Record<Owner, string>> = {
  driver: 'drv',
  available: 'avail',
  device: 'dev',
  pushed: 'written',
  used: 'used',
};

/** Where nothing is outstanding: the slot where the next buffer is going to be. */
function nextSlot({ queues }: RunState, view: RingView): number {
  const queue = queues.find(({ place }) => place === view.place);
  if (queue === undefined) return 0;
  return view.packed === undefined ? queue.taken & (view.place.size - 1) : queue.described & 0x7fff;
}

function descriptorCells({ slot, address, length, flags, link }: Descriptor, view: RingView, owner: string): string[] {
  if (address === 0n && length === 0 && flags === 0) return [String(slot), '-', '', '', owner, ''];
  return [String(slot), `0x${address.toString(16)}`, String(length), flagsText(flags, view), owner, String(link)];
}

/** N next, W the device writes, I indirect; A available and U used of a packed ring, lower case where clear. */
function flagsText(flags: number, { packed }: RingView): string {
  const letter = (bit: number, set: string, clear: string): string => ((flags & bit) === 0 ? clear : set);
  const common =
    letter(VIRTQ_DESC_F_NEXT, 'N', '-') +
    letter(VIRTQ_DESC_F_WRITE, 'W', '-') +
    letter(VIRTQ_DESC_F_INDIRECT, 'I', '-');
  if (packed === undefined) return common;
  return common + letter(VIRTQ_DESC_F_AVAIL, 'A', 'a') + letter(VIRTQ_DESC_F_USED, 'U', 'u');
}

/** The colour of an owner. */
export function painter(owner: Owner | undefined, paint: Paint): (text: string) => string {
  if (owner === undefined) return paint.dim;
  if (owner === 'driver') return paint.blue;
  if (owner === 'available') return paint.yellow;
  return owner === 'device' ? paint.magenta : paint.green;
}

/** Where the memory of the ring was not recorded: the buffers, without their slots. */
function bufferLines({ buffers }: Step, own: readonly BufferState[], { rows, width, paint }: Room): PanelLine[] {
  const title = { text: 'the trace has no memory of the ring', paint: paint.dim };
  const at = own.findIndex(({ serial }) => buffers.includes(serial));
  const { from, to } = windowOf(own.length, rows - 2, Math.max(0, at), Math.max(0, at));
  const shown = own.slice(from, to);
  if (shown.length === 0) return [title];
  const cells = shown.map(({ serial, id, owner, segments, bytes }) =>
    [id, `#${serial}`, OWNERS[owner], segments, bytes].map(String),
  );
  const [head = '', ...lines] = columnsOf([[...BUFFER_COLUMNS], ...cells], BUFFER_COLUMNS, RIGHT, width - 1);
  return [
    title,
    { text: ` ${head}`, paint: paint.dim },
    ...lines.map((line, i) => ({
      text: `${buffers.includes(shown[i]!.serial) ? '>' : ' '}${line}`,
      paint: painter(shown[i]!.owner, paint),
    })),
  ];
}

/** The columns of the buffers of a ring without memory. */
const BUFFER_COLUMNS = ['buffer', '#', 'owner', 'segments', 'bytes'] as const;
