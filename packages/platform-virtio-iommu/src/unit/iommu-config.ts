import { readDeviceConfig, type Transport } from '@virtio-platform/core/device';
import type { FeatureSet } from '@virtio-platform/core/features';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  VIRTIO_IOMMU_F_BYPASS_CONFIG,
  VIRTIO_IOMMU_F_DOMAIN_RANGE,
  VIRTIO_IOMMU_F_INPUT_RANGE,
  VIRTIO_IOMMU_F_PROBE,
} from './iommu-features.ts';
import {
  CONFIG_BYPASS,
  CONFIG_BYTES,
  CONFIG_DOMAIN_RANGE,
  CONFIG_INPUT_RANGE,
  CONFIG_PAGE_SIZE_MASK,
  CONFIG_PROBE_SIZE,
} from './request-format.ts';
import { unsupported } from './virtio-iommu-facility.ts';

/** The configuration of a unit, of which each field is read only with its feature. */
export interface IommuConfig {
  /** Bytes of the smallest page that the unit maps, at least 4096, a power of two. */
  readonly granule: number;
  /** First and last I/O virtual address. */
  readonly inputStart: bigint;
  readonly inputEnd: bigint;
  /** The first domain number. */
  readonly domain: number;
  /** Bytes of the properties of a PROBE; 0 without PROBE. */
  readonly probeSize: number;
  /** Whether endpoints without a domain are let through; `undefined` without BYPASS_CONFIG. */
  readonly bypass: boolean | undefined;
}

/** The largest page that this driver maps with. */
const LARGEST_GRANULE = 2 ** 21;
/** The most that this driver has a unit write. */
const LARGEST_PROBE = 2 ** 16;

/** Reads and checks the configuration. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` for one that cannot be used. */
export function readIommuConfig(transport: Transport, accepted: FeatureSet): IommuConfig {
  const hasBypass = accepted.has(VIRTIO_IOMMU_F_BYPASS_CONFIG);
  // A unit of before BYPASS_CONFIG has no such field.
  const view = readDeviceConfig(transport, 0, hasBypass ? CONFIG_BYTES : CONFIG_BYPASS);
  const mask = view.getBigUint64(CONFIG_PAGE_SIZE_MASK, true);
  const granule = Math.max(PAGE_SIZE, Number(mask & -mask));
  if (mask === 0n || granule > LARGEST_GRANULE)
    throw unsupported(
      `page_size_mask 0x${mask.toString(16)} has no page of at most ${LARGEST_GRANULE} bytes`,
      'use a unit with smaller pages',
    );
  const hasInput = accepted.has(VIRTIO_IOMMU_F_INPUT_RANGE);
  const inputStart = hasInput ? view.getBigUint64(CONFIG_INPUT_RANGE, true) : 0n;
  const inputEnd = hasInput ? view.getBigUint64(CONFIG_INPUT_RANGE + 8, true) : 2n ** 64n - 1n;
  const hasDomains = accepted.has(VIRTIO_IOMMU_F_DOMAIN_RANGE);
  const domain = hasDomains ? view.getUint32(CONFIG_DOMAIN_RANGE, true) : 0;
  const lastDomain = hasDomains ? view.getUint32(CONFIG_DOMAIN_RANGE + 4, true) : 0xffff_ffff;
  if (inputStart > inputEnd || domain > lastDomain)
    throw unsupported('a range of the configuration ends before it starts', 'the unit is broken');
  const probeSize = accepted.has(VIRTIO_IOMMU_F_PROBE) ? view.getUint32(CONFIG_PROBE_SIZE, true) : 0;
  if (probeSize > LARGEST_PROBE)
    throw unsupported(`probe_size is ${probeSize} bytes, more than ${LARGEST_PROBE}`, 'the unit is broken');
  const bypass = hasBypass ? view.getUint8(CONFIG_BYPASS) === 1 : undefined;
  return { granule, inputStart, inputEnd, domain, probeSize, bypass };
}
