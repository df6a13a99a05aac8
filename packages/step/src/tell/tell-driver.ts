import {
  needsNotification,
  packedNeedsNotification,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  slotOf,
  VIRTQ_USED_F_NO_NOTIFY,
} from '@virtio-platform/core/queue';
import { VIRTIO_F_NOTIFICATION_DATA } from '@virtio-platform/core/features';
import { hasFeature, queueOf } from '../state/run-state.ts';
import { counted, hex, listed, named, position, type Telling, type Told } from './telling.ts';

/** Why `add` added nothing, by its negative result. */
const NOT_ADDED: Readonly<Record<number, string>> = {
  [-1]: 'the mapping finds no space now, so the ring stays exactly as it was, and the driver tries again later',
  [-2]: 'a segment is longer than one mapping takes, and the ring stays as it was',
  [-3]: 'the device can never reach a segment of it, and the ring stays as it was',
  [-16]: 'the ring has too few free descriptors, and the driver tries again once it took some buffer back',
  [-17]: 'the queue is broken',
};

/** Of `add`. */
export function tellAdd(told: Telling): Told {
  const { event, queue, buffer } = told;
  const section = told.section('2.7.13.1', '2.8.21.1');
  if (event.id < 0) {
    const why = NOT_ADDED[event.id] ?? `the result is ${event.id}`;
    return { text: `The driver cannot add its next buffer to queue ${event.queue}: ${why}.`, section: null };
  }
  if (buffer === undefined) return { text: `The driver adds buffer ${event.id} to queue ${event.queue}.`, section };
  const { id, segments, readable, bytes, slots, isIndirect, mappings } = buffer;
  const parts = [
    ...(readable > 0 ? [`${readable} that the device reads`] : []),
    ...(segments > readable ? [`${segments - readable} that it writes`] : []),
  ];
  const what = `buffer ${id}: ${counted(segments, 'segment')}, ${listed(parts)}, ${counted(bytes, 'byte')} in all`;
  const mapped = mappings.length === 0 ? ' Its memory is mapped already, so nothing had to be mapped for it.' : '';
  if (slots.length === 0) {
    return {
      text: `The driver describes ${what}. The device is not to look at it before it is published.${mapped}`,
      section,
    };
  }
  if (told.isPacked) return { text: `${addedToPacked(told, what)}${mapped}`, section };
  const entry = ((queue?.available ?? 0) + pendingBefore(told)) & ((queue?.size ?? 1) - 1);
  const place = isIndirect
    ? `in an indirect table and refers to it by descriptor ${id} alone (2.7.5.3)`
    : `in descriptor${slots.length === 1 ? '' : 's'} ${listed(slots.map(String))}`;
  return {
    text:
      `The driver describes ${what}. It does so ${place}, and writes ${id}, the head, into avail.ring[${entry}]. ` +
      `The device is not to look there before avail.idx moves.${mapped}`,
    section,
  };
}

/** Buffers that were added before this one and are not published. */
function pendingBefore({ before, event }: Telling): number {
  return before.buffers.filter(({ queue, owner }) => queue === event.queue && owner === 'driver').length;
}

function addedToPacked(told: Telling, what: string): string {
  const { slots, isIndirect, id } = told.buffer!;
  const first = slots[0]!;
  const place = isIndirect
    ? `in an indirect table and refers to it by slot ${first} alone (2.8.7)`
    : `in ${slots.length === 1 ? `slot ${first}` : `slots ${first} to ${slots.at(-1)!}`}, one after the other`;
  const held =
    pendingBefore(told) === 0
      ? `The flags of slot ${first} are written last, when the buffer is published: the device stops there until then.`
      : 'Its flags are written too, but the device stops at the first buffer of this batch until that is published.';
  return `The driver describes ${what}. It does so ${place}, with buffer id ${id}. ${held}`;
}

/** Of `publish`. */
export function tellPublish(told: Telling): Told {
  const { event, moved } = told;
  const section = told.section('2.7.13.3', '2.8.21.1');
  if (moved.length === 0) {
    return { text: `The driver has nothing new to show in queue ${event.queue}.`, section: null };
  }
  const first = moved[0]!;
  const shown = told.isPacked
    ? first.slots.length > 0
      ? `The driver writes the flags of slot ${first.slots[0]!}: AVAIL is now its wrap counter, USED the opposite`
      : 'The driver writes the flags that make its descriptors available'
    : `The driver writes avail.idx = ${event.extra & 0xffff}`;
  return { text: `${shown}. From now on the device may take ${named(moved)}. ${whetherToNotify(told)}`, section };
}

/** Why the device wants a notification, or not, by the fields that it wrote. */
function whetherToNotify(told: Telling): string {
  const isWanted = told.event.id === 1;
  const reason = told.view === undefined ? undefined : (packedReason(told) ?? splitReason(told));
  // A device in another thread may have moved its fields since the driver read them.
  if (reason === undefined || reason.asks !== isWanted)
    return isWanted ? 'The device wants a notification.' : 'The device wants no notification.';
  return `${reason.says}, so the ${isWanted ? 'device wants a notification' : 'driver sends no notification'}.`;
}

/** What the device's fields say, and whether they ask for a notification. */
interface Reason {
  readonly says: string;
  readonly asks: boolean;
}

function packedReason({ view, queue, before, event, eventIdx }: Telling): Reason | undefined {
  if (view?.packed === undefined || queue === undefined) return undefined;
  const asked = view.packed.deviceEvent();
  const { size } = view.place;
  const earlier = queueOf(before, event.queue)?.available ?? queue.available;
  const moved = (slotOf(queue.available) - slotOf(earlier) + size) % size || size;
  const asks = packedNeedsNotification(asked, queue.available, moved, size, eventIdx);
  if (eventIdx && asked >>> 16 === RING_EVENT_FLAGS_DESC)
    return { says: `The device asked for one at ${position(asked & 0xffff)} (2.8.10)`, asks };
  const word = asked >>> 16 === RING_EVENT_FLAGS_DISABLE ? 'never' : 'always';
  return { says: `The device event suppression structure says “${word}” (2.8.10)`, asks };
}

function splitReason({ view, queue, before, event, eventIdx }: Telling): Reason | undefined {
  if (view?.split === undefined || queue === undefined) return undefined;
  if (!eventIdx) {
    const isSuppressed = (view.split.usedFlags() & VIRTQ_USED_F_NO_NOTIFY) !== 0;
    return { says: `used.flags ${isSuppressed ? 'has' : 'is without'} NO_NOTIFY (2.7.10)`, asks: !isSuppressed };
  }
  const asked = view.split.availEvent();
  const earlier = queueOf(before, event.queue)?.available ?? queue.available;
  const asks = needsNotification(asked, queue.available, earlier);
  return {
    says: `avail_event is ${asked}, and avail.idx ${asks ? 'just passed it' : 'does not pass it now'} (2.7.10)`,
    asks,
  };
}

/** Of `notify`. */
export function tellNotify(told: Telling): Told {
  const { event, after } = told;
  const next = event.extra & 0xffff;
  const data = hasFeature(after, VIRTIO_F_NOTIFICATION_DATA)
    ? ` With NOTIFICATION_DATA it says where the next buffer will be: ${told.isPacked ? position(next) : next} (2.9).`
    : '';
  return {
    text:
      `The driver sends an available buffer notification for queue ${event.queue}.${data} ` +
      'On a real machine that is an exit of the guest or a system call, so a device suppresses it while it looks anyway.',
    section: told.section('2.7.13.4', '2.8.21.3'),
  };
}

/** Of `enableNotifications`. */
export function tellEnable(told: Telling): Told {
  const { event, view } = told;
  const section = told.section('2.7.14', '2.8.22');
  const asked = askedFor(told);
  const again =
    event.id === 1
      ? 'It looks at the ring once more: nothing came meanwhile, so it can sleep.'
      : 'It looks at the ring once more, and buffers came meanwhile: it takes those first, for no notification is owed.';
  return {
    text: `${view === undefined ? `The driver asks for a notification in queue ${event.queue}.` : asked} ${again}`,
    section,
  };
}

function askedFor({ view, eventIdx, event }: Telling): string {
  const of = `in queue ${event.queue}`;
  if (view?.packed !== undefined) {
    const asked = view.packed.driverEvent();
    const at = eventIdx && asked >>> 16 === RING_EVENT_FLAGS_DESC ? `at ${position(asked & 0xffff)}` : 'always';
    return `The driver asks for used buffer notifications ${of}: ${at}, by its event suppression structure (2.8.10).`;
  }
  if (!eventIdx)
    return `The driver clears NO_INTERRUPT in avail.flags ${of}: it wants used buffer notifications (2.7.7).`;
  const at = view?.split?.usedEvent() ?? 0;
  return `The driver writes used_event = ${at} ${of}: it wants a notification once the device used entry ${at} (2.7.7).`;
}

/** Of `takeUsed`. */
export function tellTakeUsed(told: Telling): Told {
  const { event, buffer, queue } = told;
  const { id, length, extra } = event;
  const wrote =
    length === 0 ? 'the device wrote nothing into it' : `the device wrote ${counted(length, 'byte')} into it`;
  const at =
    queue === undefined ? '' : told.isPacked ? ` The next used one is expected at ${position(extra & 0xffff)}.` : '';
  const slots = buffer?.slots.length ?? 0;
  const freed =
    slots > 0
      ? ` ${counted(slots, told.isPacked ? 'slot' : 'descriptor')} of the ring ${slots === 1 ? 'is' : 'are'} free again.`
      : '';
  return {
    text:
      `The driver takes buffer ${id} back: ${wrote}. It checked the id and the length against its own record, ` +
      `because the device could have written anything.${freed}${at}`,
    section: told.section('2.7.14', '2.8.22'),
  };
}

/** Of `takeBack`. */
export function tellTakeBack({ event, before }: Telling): Told {
  const isWhole = before.status === 0;
  return {
    text:
      `Buffer ${event.id} comes back to the driver without having been used: the ` +
      `${isWhole ? 'device' : 'queue'} was reset, so the device has given it up.`,
    section: isWhole ? '3.3.1' : '2.6.1',
  };
}

/** Of `wait`: 0 notified, 1 timeout, 2 lost. */
export function tellWait({ event }: Telling): Told {
  const { extra, length } = event;
  const most = `at most ${length} ms`;
  const text =
    extra === 0
      ? `The driver waited (${most}) and was notified: it looks at its rings.`
      : extra === 1
        ? `The driver waited ${length} ms, and no notification came. It looks at its rings all the same.`
        : 'The driver waited, and the device is gone.';
  return { text, section: '2.3' };
}

/** Of `enableQueue`. */
export function tellEnableQueue({ event, queue }: Telling): Told {
  const { extra, deviceAddress } = event;
  const at =
    queue?.place == null && deviceAddress === 0n ? '' : `, descriptors at device address ${hex(deviceAddress)}`;
  return {
    text:
      `The driver tells the device where queue ${event.queue} is: ${extra} entries${at}. ` +
      'These are device addresses too, so the platform had to map the ring first.',
    section: '3.1.1',
  };
}

/** Of `broken`. */
export function tellBroken({ event }: Telling): Told {
  return {
    text:
      `Queue ${event.queue} is broken: the device broke a rule of the ring (${event.text ?? 'unknown'}). ` +
      'The driver reads nothing of it any more until the device is reset.',
    section: null,
  };
}
