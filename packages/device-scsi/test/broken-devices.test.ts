import type { DeviceModel, DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { NOTHING_LEFT } from '@virtio-platform/conformance/testing';
import { SparseBacking } from '@virtio-platform/device-kit';
import {
  DiskUnit,
  SCSI_CONTROL_QUEUE,
  SCSI_REQUEST_QUEUE,
  ScsiDevice,
  type ScsiDiskSettings,
  type ScsiSettings,
} from '@virtio-platform/device-scsi';
import { describe, expect, it } from 'vitest';
import { runMixed, settingsOf } from './scsi-run.ts';

const SETTINGS = settingsOf({
  disks: [
    { capacity: '64KiB', serial: 'one' },
    { lun: 1, capacity: '64KiB', readOnly: true },
  ],
  queues: 2,
  slow: { every: 10, delay: 2 },
});

/** A device half of other units than those of the settings. */
function deviceOf(
  unit: (settings: ScsiDiskSettings) => DiskUnit,
  Device: typeof ScsiDevice = ScsiDevice,
  { disks, queues, slow, changes }: ScsiSettings = SETTINGS,
): ScsiDevice {
  return new Device(disks.map(unit), { queues, queueSize: 64, slow, changes, byteOrder: 'little' });
}

function sound(settings: ScsiDiskSettings): DiskUnit {
  return new DiskUnit(settings, new SparseBacking(settings.capacity));
}

/** A backing with one method of another. */
function backing(methods: Partial<SparseBacking>): (settings: ScsiDiskSettings) => DiskUnit {
  return (settings) => new DiskUnit(settings, Object.assign(new SparseBacking(settings.capacity), methods));
}

/** A device half that changes what it writes to buffers of the request queues, or of the control queue. */
function writing(
  change: (bytes: Uint8Array, length: number) => void,
  isControl = false,
): (settings: ScsiSettings) => DeviceModel {
  return () =>
    deviceOf(
      sound,
      class extends ScsiDevice {
        override process(
          queue: number,
          chain: DescriptorChain,
          space: DeviceAddressSpace,
          queues: DeviceQueues,
        ): number {
          if (queue < SCSI_REQUEST_QUEUE !== isControl) return super.process(queue, chain, space, queues);
          const write: DeviceAddressSpace['write'] = (low, high, source, at, length) => {
            const bytes = source.slice(at, at + length);
            change(bytes, length);
            return space.write(low, high, bytes, 0, length);
          };
          const read: DeviceAddressSpace['read'] = (...of) => space.read(...of);
          const { memory, faults, generation } = space;
          const borrow: DeviceAddressSpace['borrow'] = (...of) => space.borrow(...of);
          return super.process(queue, chain, { memory, faults, generation, read, write, borrow }, queues);
        }
      },
    );
}

/** Changes the response to each so many-th command. */
function response(every: number, change: (bytes: Uint8Array) => void): (settings: ScsiSettings) => DeviceModel {
  let seen = 0;
  return writing((bytes, length) => {
    if (length === 108 && ++seen % every === 0) change(bytes);
  });
}

const put32 = (bytes: Uint8Array, at: number, value: number): void =>
  new DataView(bytes.buffer).setUint32(at, value, true);

const BROKEN: readonly (readonly [name: string, make: (settings: ScsiSettings) => DeviceModel, kind: string])[] = [
  ['drops writes', () => deviceOf(backing({ write() {} })), 'data'],
  [
    'reads what it likes',
    () => deviceOf(backing({ read: (_offset, target, at) => void (target[at] = Math.random() * 255) })),
    'data',
  ],
  ['does not move data', writing((bytes, length) => length > 255 && bytes.fill(0)), 'data'],
  ['flips a bit of data', writing((bytes, length) => length === 2048 && (bytes[77]! ^= 4)), 'data'],
  ['has another serial number', () => deviceOf((settings) => sound({ ...settings, serial: 'two' })), 'data'],
  ['has another capacity', () => deviceOf((settings) => sound({ ...settings, capacity: 32_768 })), 'data'],
  ['has other blocks', () => deviceOf((settings) => sound({ ...settings, blockSize: 4096 })), 'data'],
  ['is not read-only', () => deviceOf((settings) => sound({ ...settings, readOnly: false })), 'status-error'],
  ['is read-only', () => deviceOf((settings) => sound({ ...settings, readOnly: true })), 'status-error'],
  [
    'has one unit less',
    () => deviceOf((settings) => sound({ ...settings, plugged: settings.lun === 0 })),
    'status-error',
  ],
  [
    'loses a unit without an event',
    () => {
      let reads = 0;
      return deviceOf((settings) => {
        const unit = sound(settings);
        const read = unit.backing.read.bind(unit.backing);
        unit.backing.read = (...of) => (++reads === 20 && (unit.isPlugged = false), read(...of));
        return unit;
      });
    },
    'status-error',
  ],
  [
    'tells each command of a reset',
    () =>
      deviceOf(
        (settings) =>
          new (class extends DiskUnit {
            override takeAttention(): number {
              return 0x06_2900;
            }
            override get hasAttention(): boolean {
              return true;
            }
          })(settings, new SparseBacking(settings.capacity)),
      ),
    'status-error',
  ],
  ['says GOOD with the wrong residual', response(9, (bytes) => put32(bytes, 4, 1)), 'length'],
  ['has a residual beyond the data', response(9, (bytes) => put32(bytes, 4, 1 << 30)), 'length'],
  ['has a sense length beyond sense_size', response(9, (bytes) => put32(bytes, 0, 97)), 'length'],
  ['has sense data that is none', response(1, (bytes) => (bytes[12] = 0x10)), 'status-error'],
  ['answers no response', response(9, (bytes) => (bytes[11] = 0xff)), 'status-missing'],
  ['answers a response that is none', response(9, (bytes) => (bytes[11] = 77)), 'status-unknown'],
  ['answers a status that is none', response(9, (bytes) => (bytes[10] = 0x55)), 'status-unknown'],
  ['answers ABORTED to what was not aborted', response(29, (bytes) => (bytes[11] = 2)), 'status-error'],
  ['answers FAILURE', response(29, (bytes) => (bytes[11] = 9)), 'status-error'],
  ['answers BUSY for ever', response(1, (bytes) => (bytes[11] = 5)), 'status-error'],
  ['answers CHECK CONDITION without sense data', response(29, (bytes) => (bytes[10] = 2)), 'status-error'],
  ['answers task management with anything', writing((bytes) => bytes.fill(7), true), 'status-error'],
];

describe('the workload mixed', () => {
  it('verifies a sound device, and gives back everything', async () => {
    const { requests, mismatches, error, left } = await runMixed(deviceOf(sound), SETTINGS);
    expect([error, requests, mismatches.first, left]).toEqual([undefined, 300, [], NOTHING_LEFT]);
  });

  it.each(BROKEN)('does not verify a device that %s', async (_name, make, kind) => {
    const { mismatches, left, error } = await runMixed(make(SETTINGS), SETTINGS);
    expect(Object.keys(mismatches.counts), String(error)).toContain(kind);
    expect(left).toEqual(NOTHING_LEFT);
  });

  it('does not verify a device that tells no command of its resets', async () => {
    const model = deviceOf(
      (settings) =>
        new (class extends DiskUnit {
          override reset(): void {}
        })(settings, new SparseBacking(settings.capacity)),
    );
    const { mismatches } = await runMixed(model, SETTINGS, { requests: 800, tasks: 0.4 });
    expect(mismatches.first[0]?.detail).toContain('no command is told that the unit was reset');
  });

  it('does not verify a device that says that a task is aborted, and keeps it', async () => {
    const model = deviceOf(
      sound,
      class extends ScsiDevice {
        override process(
          queue: number,
          chain: DescriptorChain,
          space: DeviceAddressSpace,
          queues: DeviceQueues,
        ): number {
          const keeping = { push() {}, report: (...of: [number, unknown]) => queues.report(...of) };
          return super.process(queue, chain, space, queue === SCSI_CONTROL_QUEUE ? keeping : queues);
        }
      },
    );
    const { mismatches, error } = await runMixed(model, SETTINGS, { tasks: 0.3 });
    expect(error).toMatchObject({ code: 'ERR_DEVICE_STALLED' });
    expect(mismatches.counts.lost).toBeGreaterThan(0);
  });
});
