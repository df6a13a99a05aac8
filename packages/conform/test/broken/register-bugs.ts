import type { DeviceModel } from '@virtio-platform/core';
import { DeviceStatus, ForwardingTransport, type Transport } from '@virtio-platform/core/device';
import { FeatureSet, type VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { BrokenDevice, Bug } from './broken-device.ts';

type Overrides = Partial<Pick<Transport, keyof ForwardingTransport & keyof Transport>>;

/** A transport with some methods of its own. */
export function altered(
  overrides: (inner: Transport, device: BrokenDevice) => Overrides,
): NonNullable<Bug['transport']> {
  return (inner, device) => Object.assign(new ForwardingTransport(inner), overrides(inner, device));
}

const bug = (name: string, overrides: (inner: Transport, device: BrokenDevice) => Overrides): Bug => ({
  name,
  transport: altered(overrides),
});

/** Has a count of 1 from the reset of a queue until a queue is enabled. */
export function countingReset(inner: Transport, device: BrokenDevice): Overrides {
  return {
    resetQueue: (queue) => {
      device.count = 1;
      inner.resetQueue(queue);
    },
    enableQueue: (queue, addresses) => {
      device.count = 0;
      inner.enableQueue(queue, addresses);
    },
  };
}

/** Changes bytes of the configuration. */
export function config(name: string, change: (bytes: Uint8Array) => void): Bug {
  return {
    name,
    model: (model: DeviceModel) => {
      const bytes = new Uint8Array(Math.max(100, model.config.length));
      const writeConfig = model.writeConfig?.bind(model);
      return {
        get config() {
          bytes.set(model.config);
          change(bytes);
          return bytes;
        },
        writeConfig: (offset, source) => writeConfig?.(offset, source),
      };
    },
  };
}

/** The bit of VERSION_1, and others by number. */
const VERSION_1: typeof VIRTIO_F_VERSION_1 = 32;
const bits = { indirect: 28, eventIdx: 29, packed: 34, inOrder: 35, srIov: 37, ringReset: 40 } as const;

/** Reads only some features. */
function offering(change: (offer: FeatureSet) => FeatureSet): (inner: Transport) => Overrides {
  return (inner) => ({ readDeviceFeatures: () => change(inner.readDeviceFeatures()) });
}

/** Refuses FEATURES_OK where `isRefused`. */
function refusing(isRefused: (features: FeatureSet, device: BrokenDevice) => boolean) {
  return (inner: Transport, device: BrokenDevice): Overrides => {
    let written = FeatureSet.EMPTY;
    return {
      writeDriverFeatures: (features) => inner.writeDriverFeatures((written = features)),
      writeStatus: (status) => {
        const isOk = (status & DeviceStatus.FeaturesOk) !== 0 && isRefused(written, device);
        inner.writeStatus(isOk ? status & ~DeviceStatus.FeaturesOk : status);
      },
    };
  };
}

/** Bugs in registers: status, features, configuration, queues. */
export const REGISTER_BUGS: readonly Bug[] = [
  bug('keeps ACKNOWLEDGE over a reset', (inner) => {
    let isStuck = false;
    return {
      writeStatus: (status) => {
        isStuck ||= (status & DeviceStatus.DriverOk) !== 0;
        inner.writeStatus(status);
      },
      readStatus: () => inner.readStatus() | (isStuck ? DeviceStatus.Acknowledge : 0),
    };
  }),
  bug('forgets DRIVER', (inner) => ({ readStatus: () => inner.readStatus() & ~DeviceStatus.Driver })),
  bug('never confirms the second reset in a row', (inner) => {
    let resets = 0;
    return {
      writeStatus: (status) => {
        resets = status === 0 ? resets + 1 : 0;
        inner.writeStatus(status);
      },
      readStatus: () => (resets >= 3 ? 1 : inner.readStatus()),
    };
  }),
  bug('stays failed', (inner) => {
    let isFailed = false;
    return {
      writeStatus: (status) => {
        isFailed ||= (status & DeviceStatus.Failed) !== 0;
        inner.writeStatus(status);
      },
      readStatus: () => inner.readStatus() | (isFailed ? DeviceStatus.NeedsReset : 0),
    };
  }),
  bug('starts 10 times in its life', (inner, device) => ({
    enableQueue: (queue, addresses) => {
      if (device.count++ < 10) inner.enableQueue(queue, addresses);
    },
  })),
  bug('works before DRIVER_OK', (inner) => ({
    enableQueue: (queue, addresses) => {
      inner.enableQueue(queue, addresses);
      inner.writeStatus(inner.readStatus() | DeviceStatus.DriverOk);
    },
  })),
  bug('takes buffers when it is set up, kicked or not', (inner, device) => ({
    wait: (milliseconds) => {
      const status = inner.readStatus();
      const isHeld = (status & DeviceStatus.FeaturesOk) !== 0 && (status & DeviceStatus.DriverOk) === 0;
      const ring = device.rings[0];
      if (isHeld && ring !== undefined && ring.layout === 'split') ring.setUsedWord(2, ring.driverWord(2));
      if (isHeld && ring !== undefined && ring.layout === 'packed') {
        const at = (ring.descriptors + 14) / 2;
        if (ring.memory.u16[at] !== 0) ring.memory.u16[at] = 0x8080;
      }
      return inner.wait(milliseconds);
    },
  })),
  bug('crashes at DRIVER_OK without FEATURES_OK', (inner, device) => ({
    writeStatus: (status) => {
      const isBlind = (status & DeviceStatus.DriverOk) !== 0 && (status & DeviceStatus.FeaturesOk) === 0;
      if (isBlind) device.crash();
      else inner.writeStatus(status);
    },
  })),
  bug('does not offer VERSION_1 when the driver reads the features again', (inner, device) => ({
    readDeviceFeatures: () => {
      const offer = inner.readDeviceFeatures();
      return device.count++ === 0 ? offer : offer.without(VERSION_1);
    },
  })),
  bug(
    'offers a bit without meaning',
    offering((offer) => offer.with(90)),
  ),
  bug(
    'offers SR_IOV',
    offering((offer) => offer.with(bits.srIov)),
  ),
  bug(
    'offers what requires what it does not offer',
    offering((offer) => offer.with(11).without(9)),
  ),
  bug('offers less after each reset', (inner, device) => ({
    readDeviceFeatures: () => {
      const offer = inner.readDeviceFeatures();
      return device.count++ < 2 ? offer : offer.without(9);
    },
  })),
  bug(
    'refuses all ring features together',
    refusing((features) => features.has(bits.indirect) && features.has(bits.eventIdx) && features.has(bits.inOrder)),
  ),
  bug(
    'refuses EVENT_IDX without tables',
    refusing((features) => features.has(bits.eventIdx) && !features.has(bits.indirect)),
  ),
  bug(
    'refuses the least set',
    refusing((features) => !features.has(9) && !features.has(2)),
  ),
  bug(
    'refuses a driver without SEG_MAX',
    refusing((features) => !features.has(2)),
  ),
  bug(
    'refuses the same set again',
    refusing((features, device) => features.has(bits.inOrder) && device.count++ > 0),
  ),
  bug('takes bits that it does not offer', (inner) => ({
    writeDriverFeatures: (features) => inner.writeDriverFeatures(features.and(inner.readDeviceFeatures())),
  })),
  bug('forgets features that are written late', (inner, device) => ({
    writeDriverFeatures: (features) => {
      if ((inner.readStatus() & DeviceStatus.FeaturesOk) !== 0) device.wedge();
      inner.writeDriverFeatures(features);
    },
  })),
  bug('stays packed after a reset', (inner, device) => ({
    enableQueue: (queue, addresses) => {
      if (device.accepted?.has(bits.packed) === true) device.count = 1;
      else if (device.count === 1) return;
      inner.enableQueue(queue, addresses);
    },
  })),
  bug('has no configuration before FEATURES_OK', (inner) => ({
    readConfig: (offset, target) => {
      if ((inner.readStatus() & DeviceStatus.FeaturesOk) === 0) target.fill(0);
      else inner.readConfig(offset, target);
    },
  })),
  ...[1, 2, 4].map((width) =>
    bug(`reads the configuration wrongly by ${8 * width} bits`, (inner) => ({
      readConfig: (offset, target) => {
        inner.readConfig(offset, target);
        if (target.length === width && offset % 8 !== 0) target[0]! ^= 1;
        else if (target.length === width) target[width - 1]! ^= 1;
      },
    })),
  ),
  bug('changes the generation with each look', (inner, device) => ({
    configGeneration: () => (inner.configGeneration() + device.count++) & 0xff,
  })),
  bug('crashes at reads behind its configuration', (inner, device) => ({
    readConfig: (offset, target) => {
      if (offset > 100) device.crash();
      else inner.readConfig(offset, target);
    },
  })),
  bug('lets a driver write its capacity', (inner, device) => ({
    writeConfig: (offset, source) => {
      if (offset === 0) device.count = source[0]!;
      inner.writeConfig(offset, source);
    },
    readConfig: (offset, target) => {
      inner.readConfig(offset, target);
      if (offset === 0 && device.count > 0) target[0] = device.count;
    },
  })),
  bug('touches the ring after a reset', (inner, device) => ({
    wait: (milliseconds) => {
      const ring = device.rings[0];
      const isReset = inner.readStatus() === 0 && ring !== undefined && ring.taken > 0;
      if (isReset && ring.layout === 'split') ring.setUsedWord(2, ring.driverWord(2));
      if (isReset && ring.layout === 'packed') ring.setUsedWord(0, 77);
      return inner.wait(milliseconds);
    },
  })),
  bug('goes on with a queue that was reset', (inner, device) => ({
    ...countingReset(inner, device),
    notify: (queue, next) => {
      inner.notify(queue, next);
      if (device.count === 1) complete(device);
    },
    wait: (milliseconds) => {
      if (device.count === 1) complete(device);
      return inner.wait(milliseconds);
    },
  })),
  bug('does not start a queue again', (inner) => ({
    enableQueue: (queue, addresses) => {
      if ((inner.readStatus() & DeviceStatus.DriverOk) === 0) inner.enableQueue(queue, addresses);
    },
  })),
  bug('keeps the size of a queue that was reset', (inner, device) => {
    let size = 0;
    return {
      enableQueue: (queue, addresses) => {
        const isAgain = (inner.readStatus() & DeviceStatus.DriverOk) !== 0;
        if (isAgain && addresses.size !== size) return;
        size = addresses.size;
        device.count = size;
        inner.enableQueue(queue, addresses);
      },
    };
  }),
  bug('does not resume', (inner, device) => ({
    writeStatus: (status) => {
      const isResume = (status & DeviceStatus.Suspend) !== 0 && (status & DeviceStatus.DriverOk) !== 0;
      if (isResume) device.wedge();
      inner.writeStatus(status);
    },
  })),
  bug('works while suspended', (inner, device) => ({
    notify: (queue, next) => {
      inner.notify(queue, next);
      if ((inner.readStatus() & DeviceStatus.Suspend) !== 0) complete(device);
    },
  })),
  bug('returns buffers after it was suspended', (inner, device) => ({
    wait: (milliseconds) => {
      if ((inner.readStatus() & DeviceStatus.Suspend) !== 0 && device.count++ === 0) complete(device);
      return inner.wait(milliseconds);
    },
    writeStatus: (status) => {
      device.count = 0;
      inner.writeStatus(status);
    },
  })),
  bug('crashes where a queue is enabled twice', (inner, device) => ({
    enableQueue: (queue, addresses) => {
      if (!inner.isQueueReset(queue)) device.crash();
      inner.enableQueue(queue, addresses);
    },
  })),
  bug('crashes at areas that overlap', (inner, device) => ({
    enableQueue: (queue, addresses) => {
      const { words } = addresses;
      if (words[0] === words[4]) device.crash();
      inner.enableQueue(queue, addresses);
    },
  })),
  bug('crashes at areas that are misaligned', (inner, device) => ({
    enableQueue: (queue, addresses) => {
      if ((addresses.words[0]! & 15) !== 0) device.crash();
      inner.enableQueue(queue, addresses);
    },
  })),
  bug('crashes at areas where nothing is', (inner, device) => ({
    enableQueue: (queue, addresses) => {
      const end = device.memory?.size ?? 0;
      if (addresses.words[0]! >= end || addresses.words[1]! > 0) device.crash();
      inner.enableQueue(queue, addresses);
    },
  })),
  ...[0, 3, 32_769].map((size) =>
    bug(`crashes at a queue of ${size}`, (inner, device) => ({
      enableQueue: (queue, addresses) => {
        if (addresses.size === size) device.crash();
        inner.enableQueue(queue, addresses);
      },
    })),
  ),
  bug('crashes at 100 notifications of nothing', (inner, device) => {
    let notified = 0;
    return {
      notify: (queue, next) => {
        const taken = device.rings[queue]?.taken ?? 0;
        notified = taken === device.count ? notified + 1 : 0;
        device.count = taken;
        if (notified > 100) device.crash();
        else inner.notify(queue, next);
      },
    };
  }),
  bug('loses a kick that comes right behind another', (inner, device) => ({
    notify: (queue, next) => {
      const taken = device.rings[queue]?.taken ?? 0;
      if (device.count === taken + 1) device.wedge();
      device.count = taken + 1;
      inner.notify(queue, next);
    },
  })),
  bug('goes by the data of a notification', (inner, device) => ({
    notify: (queue, next) => {
      if (device.accepted?.has(38) === true && device.rings[0]?.layout === 'split' && next > 0x7fff) device.crash();
      if (device.accepted?.has(38) === true && next === 0) device.crash();
      inner.notify(queue, next);
    },
  })),
  bug('loses notifications with data', (inner, device) => ({
    notify: (queue, next) => {
      if (device.accepted?.has(38) !== true) inner.notify(queue, next);
    },
  })),
  bug('crashes where it is reset after many buffers', (inner, device) => ({
    writeStatus: (status) => {
      if (status === 0 && (device.rings[0]?.size ?? 0) === 64 && (device.rings[0]?.taken ?? 0) > 20) device.crash();
      else inner.writeStatus(status);
    },
  })),
  ...(['described', 'published', 'kicked'] as const).map((point, i) =>
    bug(`does not work after a reset with a buffer that was ${point}`, (inner, device) => ({
      writeStatus: (status) => {
        const ring = device.rings[0];
        if (status === 0 && ring !== undefined && pointOf(ring) === i && ring.size === 16) device.wedge();
        inner.writeStatus(status);
      },
    })),
  ),
];

/** Writes used entries for everything that is available, out of turn. */
function complete(device: BrokenDevice): void {
  const ring = device.rings[0];
  if (ring === undefined) return;
  if (ring.layout === 'split') ring.setUsedWord(2, ring.driverWord(2) + 1);
  else {
    const { u16 } = ring.memory;
    u16[(ring.descriptors + 16 * ((2 * ring.taken) % ring.size) + 14) / 2] = 0x8080;
  }
}

/** How far the last buffer of a ring got that returned one before: 0 described, 1 published, 2 kicked. */
function pointOf(ring: NonNullable<BrokenDevice['rings'][number]>): number {
  if (ring.layout === 'packed' && ring.taken === 1) {
    // The flags of the first slot are written last.
    return (ring.memory.u16[(ring.descriptors + 16 * 2 + 14) / 2]! & 0x80) === 0 ? 0 : 1;
  }
  const available = ring.driverWord(2);
  if (ring.taken === 2) return 2;
  if (ring.taken !== 1) return -1;
  return available === 2 ? 1 : 0;
}
