import { DESCRIPTOR_SIZE, RING_EVENT_SIZE } from '@virtio-platform/core/queue';
import { swap16, swap32 } from '@virtio-platform/core/queue';
import type { RingPlace, StepEvent, WordChange } from '../record/recording.ts';
import { queueOf, type RunState } from './run-state.ts';

/** One field of a ring that an event changed, by the name that the specification gives it. */
export interface FieldChange {
  readonly queue: number;
  /** `desc[3].addr`, `avail.idx`, `used.ring[0].id`. */
  readonly field: string;
  readonly before: bigint;
  readonly after: bigint;
}

/** A field: its name, and how many bytes it has. */
interface Field {
  readonly name: string;
  readonly bytes: 2 | 4 | 8;
  /** Its first byte in the area. */
  readonly offset: number;
}

/** The fields that an event changed in the memory of the rings, each whole, in the order in which they lie there. */
export function changedFields({ changes }: StepEvent, before: RunState, after: RunState): FieldChange[] {
  const fields = new Map<string, FieldChange>();
  for (const change of changes) {
    const queue = queueOf(after, change.queue);
    const words = queue?.[change.area];
    if (queue?.place == null || words == null) continue;
    const old = queueOf(before, change.queue);
    // Of a ring that lies somewhere else now, nothing is known of before.
    const earlier = (old?.place === queue.place ? old[change.area] : null) ?? new Uint32Array(words.length);
    for (const field of fieldsOf(change, queue.place)) {
      const [was, is] = [earlier, words].map((memory) => valueOf(memory, field, queue.place!));
      if (was === is) continue;
      fields.set(`${change.queue} ${field.name}`, { queue: change.queue, field: field.name, before: was!, after: is! });
    }
  }
  return [...fields.values()];
}

function valueOf(memory: Uint32Array, { offset, bytes }: Field, { byteOrder }: RingPlace): bigint {
  const isBig = byteOrder === 'big';
  const word = (at: number): number => {
    const value = memory[at] ?? 0;
    return isBig ? swap32(value) : value;
  };
  const at = offset >>> 2;
  if (bytes === 8) {
    const [low, high] = isBig ? [word(at + 1), word(at)] : [word(at), word(at + 1)];
    return (BigInt(high) << 32n) | BigInt(low);
  }
  if (bytes === 4) return BigInt(word(at));
  const half = ((memory[at] ?? 0) >>> ((offset & 2) * 8)) & 0xffff;
  return BigInt(isBig ? swap16(half) : half);
}

function fieldsOf({ area, word }: WordChange, place: RingPlace): readonly Field[] {
  const offset = word * 4;
  if (area === 'tables') {
    const entries = entriesOf(place);
    const entry = Math.floor(offset / DESCRIPTOR_SIZE);
    const name = `table[${Math.floor(entry / entries)}][${entry % entries}]`;
    return descriptorFields(name, entry * DESCRIPTOR_SIZE, offset, place);
  }
  const { size, driverOffset, deviceOffset } = place;
  if (offset < size * DESCRIPTOR_SIZE) {
    const slot = Math.floor(offset / DESCRIPTOR_SIZE);
    return descriptorFields(`desc[${slot}]`, slot * DESCRIPTOR_SIZE, offset, place);
  }
  const halves = [offset, offset + 2];
  if (place.layout === 'packed') return halves.flatMap((at) => eventField(at, place));
  const fields = halves.flatMap((at): Field[] => {
    const inDriver = at - driverOffset;
    if (inDriver >= 0 && inDriver < 6 + 2 * size) return [{ name: availName(inDriver, size), bytes: 2, offset: at }];
    const inDevice = at - deviceOffset;
    if (inDevice < 0 || inDevice >= 6 + 8 * size) return [];
    const [name, bytes] = usedName(inDevice, size);
    return [{ name, bytes, offset: bytes === 4 ? deviceOffset + (inDevice & ~3) : at }];
  });
  return fields;
}

/** Entries of the table of each head. */
function entriesOf({ size, tables }: RingPlace): number {
  return Math.max(1, Math.floor((tables?.length ?? 0) / DESCRIPTOR_SIZE / size));
}

/** The fields of the descriptor at byte `start` that the word at `offset` is part of. */
function descriptorFields(name: string, start: number, offset: number, { layout }: RingPlace): readonly Field[] {
  const inside = offset - start;
  if (inside < 8) return [{ name: `${name}.addr`, bytes: 8, offset: start }];
  if (inside < 12) return [{ name: `${name}.len`, bytes: 4, offset: start + 8 }];
  const [third, fourth] = layout === 'split' ? ['flags', 'next'] : ['id', 'flags'];
  return [
    { name: `${name}.${third}`, bytes: 2, offset: start + 12 },
    { name: `${name}.${fourth}`, bytes: 2, offset: start + 14 },
  ];
}

function eventField(at: number, { driverOffset, deviceOffset }: RingPlace): readonly Field[] {
  for (const [name, start] of [
    ['driver event', driverOffset],
    ['device event', deviceOffset],
  ] as const) {
    const inside = at - start;
    if (inside < 0 || inside >= RING_EVENT_SIZE) continue;
    return [{ name: `${name}.${inside === 0 ? 'position' : 'flags'}`, bytes: 2, offset: at }];
  }
  return [];
}

function availName(offset: number, size: number): string {
  if (offset === 0) return 'avail.flags';
  if (offset === 2) return 'avail.idx';
  const entry = (offset - 4) / 2;
  return entry === size ? 'used_event' : `avail.ring[${entry}]`;
}

function usedName(offset: number, size: number): readonly [string, 2 | 4] {
  if (offset === 0) return ['used.flags', 2];
  if (offset === 2) return ['used.idx', 2];
  const element = Math.floor((offset - 4) / 8);
  if (element === size) return ['avail_event', 2];
  return [`used.ring[${element}].${(offset - 4) % 8 < 4 ? 'id' : 'len'}`, 4];
}
