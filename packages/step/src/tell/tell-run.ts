import { DeviceStatus, statusNames } from '@virtio-platform/core/device';
import { featureName, type FeatureTable } from '@virtio-platform/core/features';
import type { DmaPath } from '@virtio-platform/core/dma';
import { counted, hex, listed, named, type Telling, type Told } from './telling.ts';

/** What each bit of the device status means when it is set (sections 2.1 and 3.1.1). */
const STATUS_BITS: readonly (readonly [number, string, string])[] = [
  [DeviceStatus.Acknowledge, 'The driver sets ACKNOWLEDGE: it has noticed the device.', '3.1.1'],
  [DeviceStatus.Driver, 'The driver sets DRIVER: it knows how to drive this device.', '3.1.1'],
  [
    DeviceStatus.FeaturesOk,
    'The driver sets FEATURES_OK: it has chosen. It reads the status back, because a device that cannot work with the ' +
      'choice leaves the bit clear.',
    '3.1.1',
  ],
  [
    DeviceStatus.DriverOk,
    'The driver sets DRIVER_OK: the device is live, and from now on it may use the queues.',
    '3.1.1',
  ],
  [
    DeviceStatus.Suspend,
    'The driver sets SUSPEND: the device is to finish what it has and to take nothing new.',
    '3.4',
  ],
  [DeviceStatus.NeedsReset, 'The device sets DEVICE_NEEDS_RESET: it met an error that only a reset clears.', '2.1.2'],
  [DeviceStatus.Failed, 'The driver sets FAILED: it gives up on this device.', '2.1'],
];

/** Of `status`: `id` is 1 where the driver wrote it, and 0 where it read another value than before. */
export function tellStatus({ event, before }: Telling): Told {
  const { extra: status, id } = event;
  if (status === 0) return tellReset(before.status, before.buffers.length);
  const fresh = STATUS_BITS.filter(([bit]) => (status & bit) !== 0 && (before.status & bit) === 0);
  const gone = before.status > 0 ? before.status & ~status : 0;
  const lost = gone === 0 ? '' : ` Gone: ${statusNames(gone)}.`;
  const says = fresh.map(([, text]) => text).join(' ');
  const read = id === 0 ? `The driver reads the status: ${statusNames(status)}.` : '';
  const text = [read, says].filter((part) => part !== '').join(' ');
  return {
    text: `${text === '' ? `The status is ${statusNames(status)}.` : text}${lost}`,
    section: fresh[0]?.[2] ?? '2.1',
  };
}

function tellReset(before: number, buffers: number): Told {
  if (before <= 0) {
    return {
      text: 'The driver resets the device by writing 0 to its status: whatever used it before, it starts from nothing.',
      section: '3.1.1',
    };
  }
  const had = buffers === 0 ? 'It has no buffer' : `Only then are its ${counted(buffers, 'buffer')} the driver’s again`;
  return {
    text:
      'The driver resets the device by writing 0 to its status, and waits until it reads 0: the device then uses no ' +
      `memory of the driver any more. ${had}.`,
    section: '2.4',
  };
}

/** Of `features`: `id` is 1 where the driver wrote them. */
export function tellFeatures({ event, before, recording }: Telling): Told {
  const bits = event.deviceAddress;
  const names = namesOf(bits, recording.features);
  if (event.id === 0) {
    if (before.offered !== null) {
      return { text: `The driver reads the offered features again: ${hex(bits)}.`, section: '2.2' };
    }
    return {
      text:
        `The driver reads what the device offers: ${counted(countBits(bits), 'feature bit')}, ${hex(bits)}: ${names}. ` +
        'Nothing that is not offered can be used.',
      section: '2.2',
    };
  }
  const left = (before.offered ?? 0n) & ~bits;
  const out = left === 0n ? 'That is all that was offered.' : `It leaves out ${namesOf(left, recording.features)}.`;
  return {
    text: `The driver writes the features that it accepts: ${hex(bits)}: ${names}. ${out} Once FEATURES_OK is set, both sides go by these bits.`,
    section: '2.2',
  };
}

function countBits(bits: bigint): number {
  return bits.toString(2).replaceAll('0', '').length;
}

/** The bits by name; those of a device type that is not known, by number. */
function namesOf(bits: bigint, ofType: FeatureTable): string {
  const found: string[] = [];
  for (let bit = 0; bits >> BigInt(bit) > 0n; bit++)
    if (((bits >> BigInt(bit)) & 1n) === 1n) found.push(featureName(bit, ofType));
  return listed(found);
}

/** What it means for the run that a feature is accepted, with its section. */
const ACCEPTED: Readonly<Record<string, readonly [string, string]>> = {
  RING_INDIRECT_DESC: ['A buffer may have its descriptors in a table of its own, and takes one slot then.', '2.7.5.3'],
  RING_EVENT_IDX: ['Each side says by a position from where on it wants to be notified.', '2.7.10'],
  VERSION_1: ['The device is no legacy one: all its fields are little-endian.', '6.1'],
  ACCESS_PLATFORM: ['The driver asks the platform for every address that it gives to the device.', '6.1'],
  RING_PACKED: ['The ring has one table that both sides write, and wrap counters in place of indices.', '2.8'],
  IN_ORDER: ['Buffers come back in the order in which they were made available.', '2.7.9'],
  ORDER_PLATFORM: ['The device sees memory as the platform orders it, so barriers have to hold for it too.', '6.1'],
  NOTIFICATION_DATA: ['A notification says how far the ring goes.', '2.9'],
  RING_RESET: ['One queue can be reset by itself.', '2.6.1'],
  SUSPEND: ['The device can be stopped without losing its state.', '3.4'],
};

const DECLINED: Readonly<Record<string, readonly [string, string]>> = {
  ACCESS_PLATFORM: ['Without it the device gets guest-physical addresses.', '6.1'],
  RING_PACKED: ['The ring stays split.', '2.7'],
  RING_EVENT_IDX: ['Notifications can be turned off and on by flags only.', '2.7.7'],
  RING_INDIRECT_DESC: ['Each segment of a buffer takes a slot of the ring.', '2.7.5'],
};

/** What the path of the addresses means, as `DmaPath` has it. */
const PATHS = new Map<string, string>(
  Object.entries({
    physical: 'the device gets guest-physical addresses, and the platform is not asked',
    identity: 'the platform is asked, and its addresses were found equal to the physical ones',
    linear: 'a device address is the physical address plus a constant',
    translated: 'each mapping gets a device address of its own',
    granted: 'a device address is the number of a grant for one page',
    bounced: 'buffers are copied through shared slots, and the device gets the address of a slot',
    'bounced+linear': 'buffers are copied through shared slots, whose address is the physical one plus a constant',
    'bounced+translated': 'buffers are copied through shared slots, and these are mapped in turn',
  } satisfies Record<DmaPath, string>),
);

/** Of `negotiation`. */
export function tellNegotiation({ event, before, after }: Telling): Told {
  if (after.decisions.length > before.decisions.length) {
    const { feature, outcome, rule, reason } = after.decisions.at(-1)!;
    const [means, section] = (outcome === 'accepted' ? ACCEPTED : DECLINED)[feature] ?? ['', '2.2'];
    const verb = outcome === 'accepted' ? 'accepts' : 'declines';
    return { text: `Rule ${rule} ${verb} ${feature}: ${reason}. ${means}`.trimEnd(), section };
  }
  if (after.refusal !== null && before.refusal === null) {
    return {
      text: `Negotiation refuses the device, by rule ${after.refusal}. No queue is opened, and no memory is given to it.`,
      section: null,
    };
  }
  const means = after.path === null ? undefined : PATHS.get(after.path);
  if (means !== undefined) return { text: `The path of the addresses is “${after.path}”: ${means}.`, section: null };
  return { text: `Negotiation: ${event.text ?? ''}`, section: '2.2' };
}

/** Of `configRead` and `configWrite`. */
export function tellConfig({ event }: Telling): Told {
  const { kind, length, extra } = event;
  const what = `${counted(length, 'byte')} of the device configuration at offset ${extra}`;
  return {
    text:
      kind === 'configRead'
        ? `The driver reads ${what}. Where the generation changed meanwhile, it reads again.`
        : `The driver writes ${what}.`,
    section: '2.5',
  };
}

/** Of `resetQueue`. */
export function tellResetQueue({ event, before }: Telling): Told {
  const own = before.buffers.filter(({ queue }) => queue === event.queue);
  return {
    text:
      `The driver resets queue ${event.queue} alone. Once the device confirms it, the driver has ` +
      `${own.length === 0 ? 'nothing to take back' : `${named(own)} back`}.`,
    section: '2.6.1',
  };
}

/** Of the kinds that are told in words, `what` before them. */
export function tellWords(what: string): (told: Telling) => Told {
  return ({ event }) => ({ text: `${what}: ${event.text ?? `number ${event.id}`}`, section: null });
}

/** Of `failure`. */
export function tellFailure({ event, before, recording }: Telling): Told {
  const kept = before.buffers.filter(({ owner }) => owner !== 'driver' && owner !== 'used');
  const has = kept.length === 0 ? '' : ` The device still has ${named(kept)}.`;
  const rest =
    recording.leftOut > 0
      ? ` Then the driver resets the device and takes everything back: ${counted(recording.leftOut, 'event')}, left out here.`
      : '';
  return { text: `The run fails here. ${event.text ?? ''}.${has}${rest}`.replace('..', '.'), section: null };
}
