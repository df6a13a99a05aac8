import { DmaDirection } from '@virtio-platform/core/dma';
import { mappingAt } from '../state/run-state.ts';
import { counted, hex, type Telling, type Told } from './telling.ts';

/** Why `map` mapped nothing, by its negative result. */
const NOT_MAPPED: Readonly<Record<number, string>> = {
  [-1]: 'there is no space now, and the same call can succeed after an unmap',
  [-2]: 'the buffer is longer than one mapping takes',
  [-3]: 'the device can never reach this memory',
};

function forWhom(direction: number): string {
  if (direction === DmaDirection.ToDevice) return 'for the device to read';
  return direction === DmaDirection.FromDevice ? 'for the device to write' : 'for both sides';
}

/** Of `map`. */
export function tellMap(told: Telling): Told {
  const { id, address, deviceAddress, length, extra } = told.event;
  const what = `${counted(length, 'byte')} at guest address ${hex(address ?? 0)}, ${forWhom(extra)}`;
  if (id < 0) {
    const why = NOT_MAPPED[id] ?? `the result is ${id}`;
    return { text: `The driver asks the platform to map ${what}, and it does not: ${why}.`, section: null };
  }
  return {
    text: `The driver maps ${what}. The device address is ${hex(deviceAddress)}. ${told.mapping('map')}`,
    section: null,
  };
}

/** Of `unmap`. */
export function tellUnmap(told: Telling): Told {
  const { event, before } = told;
  const mapping = before.mappings.find((one) => one.queue === event.queue && one.id === event.id);
  const what =
    mapping === undefined
      ? 'a mapping'
      : `${counted(mapping.length, 'byte')} at device address ${hex(mapping.deviceAddress)}`;
  const wrote = event.length > 0 ? ` The device wrote ${counted(event.length, 'byte')} of it.` : '';
  return { text: `The driver unmaps ${what}.${wrote} ${told.mapping('unmap')}`, section: null };
}

/** Of `premap`. */
export function tellPremap(told: Telling): Told {
  const { address, deviceAddress, length, extra } = told.event;
  return {
    text:
      `The driver maps a pool of ${counted(length, 'byte')} at guest address ${hex(address ?? 0)} once for many requests, ` +
      `${forWhom(extra)}. The device address is ${hex(deviceAddress)}. ${told.mapping('region')}`,
    section: null,
  };
}

/** Of `coherent`; `region` is what the region is for, where that is known. */
export function tellCoherent(told: Telling, region: string | undefined): Told {
  const { address, deviceAddress, length, queue } = told.event;
  const what = region ?? `memory of queue ${queue} that both sides see without syncing`;
  return {
    text:
      `The driver gets ${counted(length, 'byte')} for ${what}, at guest address ${hex(address ?? 0)}. ` +
      `The device address is ${hex(deviceAddress)}. ${told.mapping('region')}`,
    section:
      region === undefined
        ? null
        : region.startsWith('the ring')
          ? told.section('2.7', '2.8')
          : told.section('2.7.5.3', '2.8.7'),
  };
}

/** Of `release`. */
export function tellRelease(told: Telling, region: string | undefined): Told {
  const { length, deviceAddress } = told.event;
  const what = region ?? 'a region';
  return {
    text:
      `The driver gives back ${what}: ${counted(length, 'byte')} at device address ${hex(deviceAddress)}. ` +
      told.mapping('release'),
    section: null,
  };
}

/** Of `syncForCpu` and `syncForDevice`. */
export function tellSync(told: Telling): Told {
  const { kind, length, address } = told.event;
  const isBack = kind === 'syncForCpu';
  const at = address === null ? '' : ` at guest address ${hex(address)}`;
  const copies = (told.after.path ?? '').startsWith('bounced')
    ? isBack
      ? 'Behind a bounce pool that copies them out of the shared memory.'
      : 'Behind a bounce pool that copies them into the shared memory.'
    : 'Where both sides see the same memory, nothing is copied.';
  return {
    text: isBack
      ? `The driver makes ${counted(length, 'byte')}${at} that the device wrote visible to itself. ${copies}`
      : `The driver makes ${counted(length, 'byte')}${at} that it wrote visible to the device. ${copies}`,
    section: null,
  };
}

/** Of `iotlbMiss`, `iotlbUpdate` and `iotlbInvalidate`. */
export function tellIotlb(told: Telling): Told {
  const { kind, deviceAddress, address, length } = told.event;
  const page = hex(deviceAddress);
  if (kind === 'iotlbMiss')
    return { text: `The device asks for the translation of ${page}, which it does not know yet.`, section: null };
  if (kind === 'iotlbUpdate') {
    const where = address === null ? '' : ` at guest address ${hex(address)}`;
    return { text: `The device is told where ${page} leads: ${counted(length, 'byte')}${where}.`, section: null };
  }
  const isKnown = mappingAt(told.before, deviceAddress) !== undefined;
  return {
    text:
      `The device is told to forget the translation of ${counted(length, 'byte')} from ${page} on` +
      `${isKnown ? ', which is still mapped' : ''}.`,
    section: null,
  };
}

/** Of `pool`. */
export function tellPool({ event }: Telling): Told {
  const { length: slots, extra: used } = event;
  return {
    text: `The pool that buffers are copied through has ${used} of its ${counted(slots, 'slot')} in use.`,
    section: null,
  };
}
