import { DeviceStatus } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
} from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { describeTransport, findCheck, TRANSPORT_CHECKS } from '@virtio-platform/conformance';
import { RegisterTransport } from '@virtio-platform/conformance/testing';

const CONFIG_BYTES = 16;
const MODERN = { offered: FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX), configBytes: CONFIG_BYTES };
const LEGACY = {
  interface: 'legacy',
  offered: FeatureSet.of(VIRTIO_RING_F_EVENT_IDX),
  configBytes: CONFIG_BYTES,
} as const;

describeTransport('a modern register transport', {
  setup: () => ({ transport: new RegisterTransport({ ...MODERN, slowReset: 3 }), configBytes: CONFIG_BYTES }),
});
describeTransport('a legacy register transport', {
  setup: () => ({ transport: new RegisterTransport(LEGACY), configBytes: CONFIG_BYTES }),
});

const BROKEN: [check: string, wrong: string, setup: () => RegisterTransport][] = [
  ['confirms a reset by status 0', 'never does', () => new RegisterTransport({ ...MODERN, slowReset: Infinity })],
  [
    'keeps the status bits that the driver sets',
    'forgets ACKNOWLEDGE',
    () =>
      new (class extends RegisterTransport {
        override readStatus(): number {
          return super.readStatus() & ~DeviceStatus.Acknowledge;
        }
      })(MODERN),
  ],
  [
    'offers only features that it can carry, the same ones after a reset',
    'offers bit 34 on the legacy interface',
    () => new RegisterTransport({ ...LEGACY, offered: FeatureSet.of(VIRTIO_F_RING_PACKED) }),
  ],
  [
    'keeps FEATURES_OK for all that the device offers',
    'demands what it did not offer',
    () => new RegisterTransport({ ...MODERN, demands: FeatureSet.of(VIRTIO_F_RING_PACKED) }),
  ],
  [
    'clears FEATURES_OK for a feature that the device did not offer',
    'takes anything',
    () =>
      new (class extends RegisterTransport {
        override writeDriverFeatures(features: FeatureSet): void {
          super.writeDriverFeatures(features.and(MODERN.offered));
        }
      })(MODERN),
  ],
  [
    'answers a configuration read at and beyond its end within bounds',
    'throws what no caller expects',
    () =>
      new (class extends RegisterTransport {
        override readConfig(offset: number, target: Uint8Array): void {
          target.set(this.config.subarray(offset, offset + target.length));
          if (offset >= CONFIG_BYTES) throw new TypeError('beyond the end');
        }
      })(MODERN),
  ],
  [
    'keeps its configuration generation while nothing changes',
    'counts reads',
    () => new RegisterTransport({ ...MODERN, unstableReads: Infinity }),
  ],
  [
    'has no queue enabled after a reset, and none that is not there',
    'never ends a queue',
    () => new RegisterTransport({ ...MODERN, slowQueueReset: Infinity }),
  ],
  [
    'resets no queue unless RING_RESET was negotiated',
    'resets it all the same',
    () => new RegisterTransport({ ...MODERN, offered: MODERN.offered.with(VIRTIO_F_RING_RESET) }),
  ],
  [
    'names a possible size for each queue and 0 for one that is not there',
    'has a queue of 255',
    () =>
      new (class extends RegisterTransport {
        override maxQueueSize(): number {
          return 255;
        }
      })(MODERN),
  ],
  [
    'ends a wait in time when nothing happens',
    'reports what did not happen',
    () => {
      let waits = 0;
      return new (class extends RegisterTransport {
        override wait(): 'notified' | 'timeout' {
          return waits++ % 2 === 0 ? 'timeout' : 'notified';
        }
      })(MODERN);
    },
  ],
];

describe('TRANSPORT_CHECKS', () => {
  it.each(BROKEN)('catch in "%s" a transport that %s', (name, _wrong, setup) => {
    const check = findCheck(TRANSPORT_CHECKS, name);
    expect(() => check.run({ transport: setup(), configBytes: CONFIG_BYTES })).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^ERR_(ASSERTION|DEVICE_RESET_TIMEOUT)$/) }),
    );
  });

  it('are each shown to catch a broken transport', () => {
    expect(BROKEN.map(([name]) => name).toSorted()).toEqual(TRANSPORT_CHECKS.map(({ name }) => name).toSorted());
  });
});
