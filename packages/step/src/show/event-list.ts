import { printable } from '@virtio-platform/core';
import { statusNames } from '@virtio-platform/core/device';
import { EVENT_KINDS } from '@virtio-platform/trace';
import type { Walk } from '../walk.ts';
import type { Paint } from './paint.ts';
import { windowOf, type PanelLine } from './panel.ts';
import { serialsText } from './step-text.ts';

/** The events around step `at`. With `following`, those of other buffers are dim. */
export function eventList(walk: Walk, at: number, following: number | null, rows: number, paint: Paint): PanelLine[] {
  const { from, to } = windowOf(walk.length, rows - 1, at, at);
  const lines: PanelLine[] = [{ text: 'EVENTS', paint: paint.bold }];
  for (let i = from; i < to; i++) {
    const { kind, queue, text: said, extra } = walk.recording.events[i]!;
    const buffers = walk.buffersOf(i);
    const where = queue < 0 ? '' : ` q${queue}`;
    const what = kind === 'status' ? lastStatus(extra) : printable(said ?? '');
    const text = [
      `${i === at ? '>' : ' '}${String(i + 1).padStart(4)}`,
      `${EVENT_KINDS[kind].name}${where}`,
      serialsText(buffers),
      what,
    ];
    const line = text.filter((part) => part !== '').join(' ');
    const isOther = following !== null && !buffers.includes(following);
    lines.push({ text: line, paint: i === at ? paint.inverse : isOther ? paint.dim : undefined });
  }
  return lines;
}

/** The last bit of a status that the driver set or read. */
function lastStatus(status: number): string {
  return statusNames(status).split('|').at(-1)!;
}
