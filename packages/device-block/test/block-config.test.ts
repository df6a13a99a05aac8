import {
  BLOCK_CONFIG,
  readBlockConfig,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_GEOMETRY,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_WRITE_ZEROES,
  type BlockConfig,
  type BlockField,
} from '@virtio-platform/device-block';
import { ConfigSpace } from '@virtio-platform/device-kit';
import { configSize } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { RegisterTransport } from '@virtio-platform/conformance/testing';

const VERSION = FeatureSet.of(VIRTIO_F_VERSION_1);
/** Without other features a device need have its capacity only. */
const SHORT = 8;

/** How many queues a driver uses of a device that has two and tells another number. */
function queuesOf(told: number, byteOrder: 'little' | 'big' = 'little'): number {
  const offered = VERSION.with(VIRTIO_BLK_F_MQ);
  const transport = new RegisterTransport({ offered, configBytes: configSize(BLOCK_CONFIG) });
  new DataView(transport.config.buffer).setUint16(BLOCK_CONFIG.num_queues.offset, told, byteOrder === 'little');
  return readBlockConfig({ transport, accepted: offered, byteOrder }).queues;
}

describe('the queues that a block driver uses', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [65_535, 2],
  ])('of a device that has two and says %d are %d', (told, queues) => {
    expect(queuesOf(told)).toBe(queues);
  });

  it('are told in the byte order of a legacy guest', () => {
    expect([queuesOf(2, 'big'), queuesOf(0x0100, 'big')]).toEqual([2, 2]);
    expect(queuesOf(1, 'big')).toBe(1);
  });

  it('C11 are one without MQ, and the field is not read', () => {
    const transport = new RegisterTransport({ offered: VERSION, configBytes: SHORT });
    let end = 0;
    const read = transport.readConfig.bind(transport);
    transport.readConfig = (offset, target) => {
      end = Math.max(end, offset + target.length);
      read(offset, target);
    };
    expect([readBlockConfig({ transport, accepted: VERSION, byteOrder: 'little' }).queues, end]).toEqual([1, SHORT]);
  });
});

/** Reads a configuration with these fields, of a device with these features. */
function readWith(features: readonly number[], fields: Partial<Record<BlockField, number>>): BlockConfig {
  const offered = FeatureSet.of(VIRTIO_F_VERSION_1, ...features);
  const transport = new RegisterTransport({ offered, configBytes: configSize(BLOCK_CONFIG) });
  transport.config.fill(0);
  const space = new ConfigSpace(BLOCK_CONFIG, 'little');
  for (const [name, value] of Object.entries(fields)) space.set(BLOCK_CONFIG[name as BlockField], value);
  transport.config.set(space.bytes);
  return readBlockConfig({ transport, accepted: offered, byteOrder: 'little' });
}

const ERASE = { max_secure_erase_sectors: 64, max_secure_erase_seg: 2, secure_erase_sector_alignment: 8 };

describe('the configuration of a block device', () => {
  it.each<[string, number[], Partial<Record<BlockField, number>>, RegExp]>([
    ['no queue', [VIRTIO_BLK_F_MQ], { num_queues: 0 }, /num_queues 0/],
    ['blocks of no disk', [VIRTIO_BLK_F_BLK_SIZE], { blk_size: 1000 }, /blk_size 1000/],
    ['blocks that Linux does not take', [VIRTIO_BLK_F_BLK_SIZE], { blk_size: 0x2_0000 }, /blk_size 131072/],
    ['a cache mode of its own', [VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH], { writeback: 2 }, /writeback 2/],
    [
      'physical blocks that no number has',
      [VIRTIO_BLK_F_TOPOLOGY],
      { physical_block_exp: 23 },
      /physical_block_exp 23/,
    ],
    [
      'no sectors to erase',
      [VIRTIO_BLK_F_SECURE_ERASE],
      { ...ERASE, max_secure_erase_sectors: 0 },
      /max_secure_erase_sectors 0/,
    ],
    [
      'no ranges to erase',
      [VIRTIO_BLK_F_SECURE_ERASE],
      { ...ERASE, max_secure_erase_seg: 0 },
      /max_secure_erase_seg 0/,
    ],
    [
      'no alignment of erases',
      [VIRTIO_BLK_F_SECURE_ERASE],
      { ...ERASE, secure_erase_sector_alignment: 0 },
      /secure_erase_sector_alignment 0/,
    ],
    [
      'discards of less than a block',
      [VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_BLK_SIZE],
      { blk_size: 4096, max_discard_sectors: 7 },
      /7 sectors/,
    ],
  ])('is refused by code and clause: %s', (_, features, fields, message) => {
    const read = (): unknown => readWith(features, fields);
    expect(read).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }));
    expect(read).toThrow(message);
    expect(read).toThrow(/5\.2\.4/);
  });

  it('has limits of 0 that say nothing, as in Linux', () => {
    const zeroes = { seg_max: 9 };
    expect(readWith([VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_DISCARD], zeroes).discard).toEqual({
      maxSectors: 0xffff_ffff,
      maxSegments: 9,
      alignment: 1,
    });
    expect(readWith([VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_WRITE_ZEROES], zeroes).writeZeroes).toEqual({
      maxSectors: 0xffff_ffff,
      maxSegments: 1,
      alignment: 1,
    });
    expect(readWith([VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_SIZE_MAX], {})).toMatchObject({
      sizeMax: 0xffff_ffff,
      segMax: 1,
    });
  });

  it.each([
    [
      { max_discard_sectors: 100, discard_sector_alignment: 16 },
      { maxSectors: 96, alignment: 16 },
    ],
    [
      { max_discard_sectors: 100, discard_sector_alignment: 200 },
      { maxSectors: 96, alignment: 200 },
    ],
    [
      { max_discard_sectors: 100, discard_sector_alignment: 3 },
      { maxSectors: 96, alignment: 8 },
    ],
  ])('has limits of whole blocks: %o', (fields, limits) => {
    const features = [VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_BLK_SIZE];
    expect(readWith(features, { blk_size: 4096, max_discard_seg: 1000, ...fields }).discard).toEqual({
      maxSegments: 256,
      ...limits,
    });
  });

  it('has the topology in bytes', () => {
    const features = [VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_GEOMETRY];
    const fields = { blk_size: 1024, physical_block_exp: 2, alignment_offset: 5, min_io_size: 8, opt_io_size: 64 };
    const geometry = { cylinders: 300, heads: 16, sectors: 63 };
    expect(readWith(features, { ...fields, ...geometry })).toMatchObject({
      topology: { physicalBlockSize: 4096, alignmentOffset: 1024, minimumIo: 8192, optimalIo: 65_536 },
      geometry,
    });
  });

  it.each([
    [[], false, false],
    [[VIRTIO_BLK_F_FLUSH], true, false],
    [[VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_CONFIG_WCE], false, true],
  ])('says whether the cache is write-back, as Linux takes it: features %o', (features, isWriteBack, canSet) => {
    expect(readWith(features, {})).toMatchObject({ isWriteBack, canSetWriteBack: canSet });
  });

  it('is that of a read-only disk also for a driver without RO', () => {
    const offered = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_BLK_F_RO);
    const transport = new RegisterTransport({ offered, configBytes: SHORT });
    expect(readBlockConfig({ transport, accepted: VERSION, byteOrder: 'little' }).readOnly).toBe(true);
  });
});
