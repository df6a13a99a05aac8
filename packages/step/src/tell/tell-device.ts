import {
  advance,
  DESCRIPTOR_SIZE,
  needsNotification,
  RING_EVENT_FLAGS_DESC,
  slotOf,
} from '@virtio-platform/core/queue';
import { mappingAt, queueOf, type MappingState } from '../state/run-state.ts';
import { counted, hex, named, position, type Telling, type Told } from './telling.ts';

/** Of `pop`. */
export function tellPop(told: Telling): Told {
  const { event, buffer } = told;
  const count = event.extra & 0xffff;
  const readable = (event.extra >>> 16) & 0xffff;
  const through = buffer?.isIndirect === true ? ' through its indirect table' : '';
  const where = told.isPacked
    ? `Its descriptors are available by their flags, so the device reads them${through}: buffer id ${event.id}`
    : `It reads the head ${event.id} from the available ring and follows the chain from there${through}`;
  return {
    text:
      `The device takes buffer ${event.id} of queue ${event.queue}. ${where}, ${counted(count, 'segment')}, ` +
      `${readable} to read and ${count - readable} to write. Until it returns the buffer, the memory is its own.`,
    section: told.section('2.7.6', '2.8.1'),
  };
}

/** Of `push`. */
export function tellPush(told: Telling): Told {
  const { event, before, view } = told;
  const { id, length } = event;
  const section = told.section('2.7.8', '2.8.3');
  const wrote = length === 0 ? 'it wrote nothing' : `it wrote ${counted(length, 'byte')}`;
  const done = `The device is done with buffer ${id}; ${wrote}.`;
  if (told.inOrder) {
    return {
      text: `${done} With IN_ORDER one used entry may stand for all buffers up to it, so the device may still hold it.`,
      section: told.section('2.7.9', '2.8.8'),
    };
  }
  const queue = queueOf(before, event.queue);
  const size = view?.place.size ?? 0;
  if (queue === undefined || size === 0) {
    return { text: `${done} Its used entry is written; the driver is not to look at it yet.`, section };
  }
  if (!told.isPacked) {
    const used = (view!.split!.usedIdx() + queue.pushed) & (size - 1);
    return {
      text: `${done} It writes { id ${id}, len ${length} } into used.ring[${used}]. The driver is not to look there before used.idx moves.`,
      section,
    };
  }
  const held =
    queue.pushed === 0
      ? 'It writes the flags of this slot last, when it shows the batch: the driver stops there until then.'
      : 'Its flags are written too, but the driver stops at the first used descriptor of this batch.';
  const slot = usedSlot(told, size);
  return { text: `${done} It writes a used descriptor with id ${id} and length ${length}${slot}. ${held}`, section };
}

/** The slot of the next used descriptor: behind the buffers that were used and not taken back. */
function usedSlot({ before, event }: Telling, size: number): string {
  const queue = queueOf(before, event.queue)!;
  const used = before.buffers.filter(
    (one) => one.queue === event.queue && (one.owner === 'used' || one.owner === 'pushed'),
  );
  const at = used.reduce((from, { slots }) => advance(from, slots.length, size), queue.taken);
  return ` into slot ${slotOf(at)}`;
}

/** Of `flush`. */
export function tellFlush(told: Telling): Told {
  const { event, moved, view } = told;
  const packed =
    'The device writes the flags of the first used descriptor: AVAIL and USED are now both its wrap counter';
  const index = view?.split?.usedIdx();
  const shown = told.isPacked ? packed : `The device writes used.idx${index === undefined ? '' : ` = ${index}`}`;
  const may = moved.length === 0 ? counted(event.length, 'buffer') : named(moved);
  return {
    text: `${shown}. From now on the driver may take ${may} back. ${whetherToInterrupt(told)}`,
    section: told.section('2.7.8', '2.8.1'),
  };
}

/** Why the driver wants a notification, or not, by the fields that it wrote. */
function whetherToInterrupt(told: Telling): string {
  const { event, view, eventIdx } = told;
  const isWanted = event.id === 1;
  const so = isWanted ? 'so the device sends one' : 'so the device sends none';
  const plain = isWanted
    ? 'The driver asked for a used buffer notification, so the device sends one.'
    : 'The driver asked for no notification.';
  if (view?.split !== undefined && eventIdx) {
    const [index, asked] = [view.split.usedIdx(), view.split.usedEvent()];
    if (needsNotification(asked, index, index - event.length) !== isWanted) return plain;
    return `used_event is ${asked}, and used.idx ${isWanted ? 'just passed it' : 'does not pass it now'} (2.7.7), ${so}.`;
  }
  if (view?.packed !== undefined && eventIdx) {
    const asked = view.packed.driverEvent();
    if (asked >>> 16 !== RING_EVENT_FLAGS_DESC) return plain;
    return `The driver asked for a notification at ${position(asked & 0xffff)} (2.8.10), ${so}.`;
  }
  return plain;
}

/** Of `read`, `write` and `borrow`: what it is that the device accesses. */
export function tellAccess(told: Telling): Told {
  const { event, before } = told;
  const { kind, deviceAddress, length, id } = event;
  const mapping = mappingAt(before, deviceAddress);
  const isWrite = kind === 'write' || (kind === 'borrow' && event.extra === 1);
  if (id === 0) {
    return {
      text:
        `The device ${isWrite ? 'writes' : 'reads'} ${counted(length, 'byte')} at ${hex(deviceAddress)}, and the access ` +
        `fails. ${told.mapping('access')}`,
      section: null,
    };
  }
  const area = mapping && ringArea(told, mapping);
  if (area !== undefined) return { text: area, section: told.section('2.7', '2.8') };
  const table = tableText(told);
  if (table !== undefined) return { text: table, section: told.section('2.7.5.3', '2.8.7') };
  const whose = whoseMemory(told, mapping);
  const verb = kind === 'borrow' ? 'works in place on' : isWrite ? 'writes' : 'reads';
  return {
    text:
      `The device ${verb} ${counted(length, 'byte')} at device address ${hex(deviceAddress)}${whose}. ` +
      told.mapping('access'),
    section: told.section('2.7.5', '2.8.13'),
  };
}

function whoseMemory({ event, buffers, after }: Telling, mapping: MappingState | undefined): string {
  const [buffer] = buffers;
  const of = buffer === undefined ? '' : `, of buffer ${buffer.id}`;
  if (mapping === undefined) return of;
  const at = hex(mapping.address + Number(event.deviceAddress - mapping.deviceAddress));
  const pool = mapping.kind === 'pool' ? ', in a pool that is mapped once' : '';
  // The device reaches the slot only.
  const { path } = after;
  const isElsewhere = path === 'identity' && mapping.deviceAddress !== BigInt(mapping.address);
  const isCopy = mapping.kind !== 'coherent' && (isElsewhere || path?.startsWith('bounced') === true);
  return `${of}${pool}: ${isCopy ? 'the copy of ' : ''}guest memory ${at}`;
}

/** The area of a ring that lies at the address of the event; `undefined` where it is another memory. */
function ringArea({ event, before, isPacked }: Telling, mapping: MappingState): string | undefined {
  const queue = before.queues.find(({ place }) => place?.address === mapping.address);
  if (queue?.place == null) return undefined;
  const offset = Number(event.deviceAddress - mapping.deviceAddress);
  const { driverOffset, deviceOffset } = queue.place;
  const names = isPacked
    ? ['the descriptor ring', 'the driver event suppression structure', 'the device event suppression structure']
    : ['the descriptor table', 'the available ring', 'the used ring'];
  const area = names[offset < driverOffset ? 0 : offset < deviceOffset ? 1 : 2]!;
  return (
    `The device finds ${area} of queue ${queue.index} at device address ${hex(event.deviceAddress)} ` +
    `(${counted(event.length, 'byte')}): guest memory ${hex(mapping.address + offset)}. It works there in place.`
  );
}

function tableText({ event, before, buffers }: Telling): string | undefined {
  const { deviceAddress, length } = event;
  const queue = before.queues.find(({ place }) => {
    const tables = place?.tables;
    if (tables == null) return false;
    return deviceAddress >= tables.deviceAddress && deviceAddress < tables.deviceAddress + BigInt(tables.length);
  });
  if (queue === undefined || event.kind !== 'read') return undefined;
  const count = Math.floor(length / DESCRIPTOR_SIZE);
  const entries = count === 1 ? '1 entry' : `${count} entries`;
  const whose = buffers[0] === undefined ? `of a buffer in queue ${queue.index}` : `of buffer ${buffers[0].id}`;
  return (
    `The device copies the indirect table ${whose} from device address ${hex(deviceAddress)}: ${entries}. ` +
    'It works on the copy, because the driver could change the table meanwhile.'
  );
}

/** Of `interrupt`. */
export function tellInterrupt({ event }: Telling): Told {
  const of = event.queue < 0 ? '' : ` of queue ${event.queue}`;
  return { text: `A used buffer notification${of} reaches the driver: it looks at its rings.`, section: '2.3' };
}

/** Of `configChange`. */
export function tellConfigChange({ event }: Telling): Told {
  return {
    text:
      `The device says that its configuration changed; its generation is ${event.extra} now. The driver reads the ` +
      'fields again, between two reads of the generation that agree.',
    section: '2.5',
  };
}

/** Of `fault`. */
export function tellFault(told: Telling): Told {
  return {
    text:
      `The access of the device is a fault: ${told.event.text ?? `at ${hex(told.event.deviceAddress)}`}. ` +
      'What the device makes of it differs: real ones often finish the request as if nothing had happened.',
    section: null,
  };
}
