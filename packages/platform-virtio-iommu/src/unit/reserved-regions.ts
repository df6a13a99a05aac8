import type { AddressRange } from '@virtio-platform/core/dma';
import {
  PROPERTY_HEAD_BYTES,
  PROPERTY_NONE,
  PROPERTY_RESERVED,
  PROPERTY_TYPE_MASK,
  RESERVED_BYTES,
  RESERVED_MSI,
} from './request-format.ts';

/** Addresses at which nothing can be mapped, from `start` to `end` inclusive. */
export interface ReservedRegion {
  /** `msi`: a write there is an interrupt and is not translated. `reserved`: no access there reaches memory. */
  readonly kind: 'reserved' | 'msi';
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * The regions of interrupts, as a platform states them. A unit may reserve all of 64 bits: a range ends after the most
 * bytes that a number holds exactly.
 */
export function interruptRanges(regions: readonly ReservedRegion[]): AddressRange[] {
  return regions
    .filter(({ kind }) => kind === 'msi')
    .map(({ start, end }) => ({
      what: 'MSI region of the unit',
      kind: 'interrupts',
      deviceAddress: start,
      length: Math.min(Number(end - start + 1n), Number.MAX_SAFE_INTEGER),
    }));
}

/**
 * Reads the reserved regions out of the properties of an endpoint (specification 1.4 section 5.13.6.6), up to their end
 * or to the first property that cannot be. Properties of other types are skipped, as the specification asks.
 */
export function readReservedRegions(properties: Uint8Array): readonly ReservedRegion[] {
  const view = new DataView(properties.buffer, properties.byteOffset, properties.byteLength);
  const regions: ReservedRegion[] = [];
  for (let at = 0; at + PROPERTY_HEAD_BYTES <= properties.length;) {
    const type = view.getUint16(at, true) & PROPERTY_TYPE_MASK;
    const length = view.getUint16(at + 2, true);
    const body = at + PROPERTY_HEAD_BYTES;
    if (type === PROPERTY_NONE || body + length > properties.length) break;
    if (type === PROPERTY_RESERVED && length >= RESERVED_BYTES) {
      const [start, end] = [view.getBigUint64(body + 4, true), view.getBigUint64(body + 12, true)];
      // A subtype that the driver does not know is a region that it does not use.
      if (start <= end) regions.push({ kind: properties[body] === RESERVED_MSI ? 'msi' : 'reserved', start, end });
    }
    at = body + length;
  }
  return regions;
}
