import { FeatureSet } from '@virtio-platform/core/features';
import { ConfigSpace } from '@virtio-platform/device-kit';
import { BLOCK_CONFIG } from './block-config.ts';
import { LONGEST_REQUEST, type TakenRanges } from './block-executor.ts';
import * as feature from './block-features.ts';
import type { BlockDeviceOptions, BlockRangeOptions } from './block-options.ts';
import { SECTOR_SIZE, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_SECURE_ERASE, VIRTIO_BLK_T_WRITE_ZEROES } from './layout.ts';

/** Sectors of a discard, as QEMU says unless told otherwise; those of the others are written one by one. */
const DISCARD_SECTORS = 0x3f_ffff;
const ZEROED_SECTORS = LONGEST_REQUEST / SECTOR_SIZE;
/** Ranges of a discard or secure erase. */
const SEGMENTS = 16;

/** What a block device half offers and says, by its settings. */
export class BlockProperties {
  readonly features: FeatureSet;
  readonly config: ConfigSpace;
  /** What it takes of discards, writes of zeroes and secure erases, by request type. */
  readonly ranges: ReadonlyMap<number, TakenRanges>;

  constructor(capacity: number, options: BlockDeviceOptions) {
    const { queues, queueSize, blockSize = SECTOR_SIZE, geometry, sizeMax } = options;
    const block = blockSize / SECTOR_SIZE;
    const discard = rangesOf(options.discard ?? true, { maxSectors: DISCARD_SECTORS, maxSegments: SEGMENTS }, block);
    const zeroes = rangesOf(options.writeZeroes ?? true, { maxSectors: ZEROED_SECTORS, maxSegments: 1 }, block);
    const erase = rangesOf(options.secureErase, { maxSectors: ZEROED_SECTORS, maxSegments: SEGMENTS }, block);
    const ranges = new Map<number, TakenRanges>();
    if (discard !== undefined) ranges.set(VIRTIO_BLK_T_DISCARD, discard);
    if (zeroes !== undefined) ranges.set(VIRTIO_BLK_T_WRITE_ZEROES, zeroes);
    if (erase !== undefined) ranges.set(VIRTIO_BLK_T_SECURE_ERASE, erase);
    this.ranges = ranges;
    this.features = FeatureSet.of(
      feature.VIRTIO_BLK_F_SEG_MAX,
      feature.VIRTIO_BLK_F_BLK_SIZE,
      feature.VIRTIO_BLK_F_FLUSH,
      feature.VIRTIO_BLK_F_TOPOLOGY,
      feature.VIRTIO_BLK_F_CONFIG_WCE,
      ...offered([
        [sizeMax !== undefined, feature.VIRTIO_BLK_F_SIZE_MAX],
        [geometry !== undefined, feature.VIRTIO_BLK_F_GEOMETRY],
        [options.readOnly, feature.VIRTIO_BLK_F_RO],
        [queues > 1, feature.VIRTIO_BLK_F_MQ],
        [discard !== undefined, feature.VIRTIO_BLK_F_DISCARD],
        [zeroes !== undefined, feature.VIRTIO_BLK_F_WRITE_ZEROES],
        [options.lifetime !== undefined, feature.VIRTIO_BLK_F_LIFETIME],
        [erase !== undefined, feature.VIRTIO_BLK_F_SECURE_ERASE],
      ]),
    );
    const config = new ConfigSpace(BLOCK_CONFIG, options.byteOrder);
    this.config = config;
    config.set(BLOCK_CONFIG.capacity, capacity / SECTOR_SIZE);
    config.set(BLOCK_CONFIG.size_max, sizeMax ?? 0);
    config.set(BLOCK_CONFIG.seg_max, options.segMax ?? Math.max(1, queueSize - 2));
    config.set(BLOCK_CONFIG.cylinders, geometry?.cylinders ?? 0);
    config.set(BLOCK_CONFIG.heads, geometry?.heads ?? 0);
    config.set(BLOCK_CONFIG.sectors, geometry?.sectors ?? 0);
    config.set(BLOCK_CONFIG.blk_size, blockSize);
    this.#setTopology(options, blockSize);
    config.set(BLOCK_CONFIG.writeback, options.writeback === false ? 0 : 1);
    config.set(BLOCK_CONFIG.num_queues, queues);
    config.set(BLOCK_CONFIG.max_discard_sectors, discard?.maxSectors ?? 0);
    config.set(BLOCK_CONFIG.max_discard_seg, discard?.maxSegments ?? 0);
    config.set(BLOCK_CONFIG.discard_sector_alignment, discard?.alignment ?? 0);
    config.set(BLOCK_CONFIG.max_write_zeroes_sectors, zeroes?.maxSectors ?? 0);
    config.set(BLOCK_CONFIG.max_write_zeroes_seg, zeroes?.maxSegments ?? 0);
    const { writeZeroes } = options;
    const mayUnmap = typeof writeZeroes !== 'object' || writeZeroes.mayUnmap !== false;
    config.set(BLOCK_CONFIG.write_zeroes_may_unmap, zeroes !== undefined && mayUnmap ? 1 : 0);
    config.set(BLOCK_CONFIG.max_secure_erase_sectors, erase?.maxSectors ?? 0);
    config.set(BLOCK_CONFIG.max_secure_erase_seg, erase?.maxSegments ?? 0);
    config.set(BLOCK_CONFIG.secure_erase_sector_alignment, erase?.alignment ?? 0);
  }

  #setTopology({ topology = {} }: BlockDeviceOptions, blockSize: number): void {
    const { physicalBlockSize = blockSize, alignmentOffset = 0, minIoSize = 0, optIoSize = 0 } = topology;
    this.config.set(BLOCK_CONFIG.physical_block_exp, Math.log2(physicalBlockSize / blockSize));
    this.config.set(BLOCK_CONFIG.alignment_offset, alignmentOffset / blockSize);
    this.config.set(BLOCK_CONFIG.min_io_size, minIoSize / blockSize);
    this.config.set(BLOCK_CONFIG.opt_io_size, optIoSize / blockSize);
  }
}

function rangesOf(
  given: boolean | BlockRangeOptions | undefined,
  usual: TakenRanges,
  block: number,
): Required<TakenRanges & { readonly alignment: number }> | undefined {
  if (given === undefined || given === false) return undefined;
  const {
    maxSectors = usual.maxSectors,
    maxSegments = usual.maxSegments,
    alignment = block,
  } = given === true ? {} : given;
  return { maxSectors, maxSegments, alignment };
}

function offered(rows: readonly (readonly [boolean, number])[]): number[] {
  return rows.filter(([isOffered]) => isOffered).map(([, bit]) => bit);
}
