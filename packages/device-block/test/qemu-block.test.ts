import block, { BLOCK_SETTINGS, type BlockSettingsInput } from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';

const RESOURCES = { image: () => '/tmp/empty', loopback: () => 4 };

/** The properties of the device that QEMU is told to make. */
function propertiesOf(settings: BlockSettingsInput): Readonly<Record<string, unknown>> {
  return block.qemu!.arguments(BLOCK_SETTINGS.parse(settings), RESOURCES).device;
}

describe('the disk that QEMU is told to make', () => {
  it('is as QEMU makes it, but for errors of the image', () => {
    expect(propertiesOf({})).toEqual({
      driver: 'virtio-blk-pci',
      drive: 'disk',
      'num-queues': 1,
      werror: 'report',
      rerror: 'report',
    });
  });

  it('has the settings that QEMU has too', () => {
    const settings: BlockSettingsInput = {
      serial: 'abc',
      queues: 4,
      queueSize: 512,
      blockSize: '4KiB',
      topology: { physicalBlockSize: '16KiB', minIoSize: '32KiB', optIoSize: '1MiB' },
      geometry: { cylinders: 16, heads: 4, sectors: 32 },
      writeback: false,
      discard: { maxSectors: 2048, alignment: 8 },
      writeZeroes: { maxSectors: 1024 },
    };
    expect(propertiesOf(settings)).toMatchObject({
      serial: 'abc',
      'num-queues': 4,
      'queue-size': 512,
      logical_block_size: 4096,
      physical_block_size: 16_384,
      min_io_size: 32_768,
      opt_io_size: 1_048_576,
      cyls: 16,
      heads: 4,
      secs: 32,
      'write-cache': 'off',
      'max-discard-sectors': 2048,
      discard_granularity: 4096,
      'max-write-zeroes-sectors': 1024,
    });
    expect(propertiesOf({ discard: false, writeZeroes: false })).toMatchObject({
      discard: false,
      'write-zeroes': false,
    });
  });

  it.each<[string, BlockSettingsInput]>([
    ['sizeMax', { sizeMax: '64KiB' }],
    ['segMax', { segMax: 4 }],
    ['queueSize', { queueSize: 2048 }],
    ['secureErase', { secureErase: true }],
    ['lifetime', { lifetime: { preEolInfo: 1, typA: 1, typB: 1 } }],
    ['topology.alignmentOffset', { topology: { alignmentOffset: 512, physicalBlockSize: '4KiB' } }],
    ['discard.maxSegments', { discard: { maxSegments: 2 } }],
    ['writeZeroes.maxSegments', { writeZeroes: { maxSegments: 2 } }],
    ['writeZeroes.mayUnmap', { writeZeroes: { mayUnmap: false } }],
  ])('does not have %s, which is said by code', (setting, settings) => {
    expect(() => propertiesOf(settings)).toThrow(
      expect.objectContaining({ code: 'ERR_MACHINE_DEVICE', message: expect.stringContaining(`device.${setting}:`) }),
    );
  });
});

describe('the settings of a disk', () => {
  it.each<[string, BlockSettingsInput]>([
    ['capacity', { capacity: 6144, blockSize: 4096 }],
    ['blockSize', { blockSize: 1000 }],
    ['blockSize', { blockSize: 256 }],
    ['blockSize', { blockSize: '4MiB' }],
    ['resizes.0.capacity', { blockSize: 4096, resizes: [{ after: 1, capacity: 512 }] }],
    ['topology.physicalBlockSize', { blockSize: 4096, topology: { physicalBlockSize: 512 } }],
    ['topology.alignmentOffset', { blockSize: 4096, topology: { physicalBlockSize: 8192, alignmentOffset: 512 } }],
    ['topology.alignmentOffset', { topology: { physicalBlockSize: 4096, alignmentOffset: 4096 } }],
    ['topology.alignmentOffset', { topology: { physicalBlockSize: '1MiB', alignmentOffset: '512KiB' } }],
    ['topology.minIoSize', { blockSize: 4096, topology: { minIoSize: 512 } }],
    ['topology.minIoSize', { topology: { minIoSize: '64MiB' } }],
    ['topology.optIoSize', { blockSize: 4096, topology: { optIoSize: 512 } }],
    ['discard.maxSegments', { discard: { maxSegments: 257 } }],
    ['lifetime.typA', { lifetime: { preEolInfo: 1, typA: 12, typB: 1 } }],
    ['lifetime.preEolInfo', { lifetime: { preEolInfo: 4, typA: 1, typB: 1 } }],
    ['segMax', { segMax: 0 }],
  ])('cannot be, and the issue names %s: %o', (path, settings) => {
    const { error } = BLOCK_SETTINGS.safeParse(settings);
    expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });
});
