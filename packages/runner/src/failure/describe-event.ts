import { EVENT_KINDS, PUSH_NOT_SHOWN, type TraceEvent } from '@virtio-platform/trace';
import { count } from './diagnosis.ts';

const WAITS = ['notified', 'timed out', 'the device is gone'];

/** An event of the flight recorder in a few words. */
export function describeEvent(event: TraceEvent): string {
  const { kind, id, length, extra, address, deviceAddress, text } = event;
  const { name } = EVENT_KINDS[kind];
  if (text !== null) return `${name}: ${text}`;
  const at = address === null ? '' : ` at 0x${address.toString(16)}`;
  // Of a buffer in the middle of a batch the device address alone is known.
  const where = address === null && deviceAddress > 0n ? ` at device address 0x${deviceAddress.toString(16)}` : at;
  switch (kind) {
    case 'add':
      return id < 0
        ? `add: refused (${id})`
        : `add buffer ${id}: ${count(extra & 0xffff, 'segment')}, ${count(length, 'byte')}${where}`;
    case 'publish':
      return `publish: the device wants ${id === 1 ? 'a' : 'no'} notification`;
    case 'takeUsed':
      return `take back buffer ${id}, ${count(length, 'byte')} written`;
    case 'takeBack':
      return `take back buffer ${id} at a reset`;
    case 'enableNotifications':
      return `enable notifications${id === 0 ? ': used buffers came meanwhile' : ''}`;
    case 'wait':
      return `wait up to ${Math.round(length)} ms: ${WAITS[extra] ?? 'an unknown result'}`;
    case 'map':
      return id < 0
        ? `map ${count(length, 'byte')}${at}: refused (${id})`
        : `map ${count(length, 'byte')}${at} to device address 0x${deviceAddress.toString(16)}`;
    case 'pop':
      return `the device takes buffer ${id}: ${count(extra & 0xffff, 'segment')}, ${count(length, 'byte')}`;
    case 'push':
      return `the device uses buffer ${id}${extra === PUSH_NOT_SHOWN ? '' : `, ${count(length, 'byte')} written`}`;
    case 'flush':
      return `the device shows ${count(length, 'used buffer')}`;
    case 'read':
    case 'write':
    case 'borrow': {
      const refused = id === 0 ? ': refused' : '';
      return `the device reaches ${count(length, 'byte')} at device address 0x${deviceAddress.toString(16)} (${name})${refused}`;
    }
    default:
      return name;
  }
}

/** Several events of one kind that follow each other, in a few words. */
export function describeEvents(events: readonly TraceEvent[]): string {
  const [first] = events;
  const last = events.at(-1)!;
  if (events.length === 1) return describeEvent(first!);
  const { kind } = first!;
  const few = events.length <= 6;
  const ids = few ? events.map(({ id }) => id).join(', ') : `${first!.id} … ${last.id}`;
  if (kind === 'add' && last.id >= 0) return `add ${events.length} buffers: ${ids}`;
  if (kind === 'takeUsed') return `take back ${events.length} buffers: ${ids}`;
  return `${events.length} times: ${describeEvent(last)}`;
}
