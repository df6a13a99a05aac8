import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { BouncedMappings, DirectDmaMapping, ForwardingDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { PoisoningDmaMapping } from '../../poisoning-dma-mapping.ts';

/**
 * How the buffers of a trial are mapped: at their physical addresses, copied through a pool, or copied to an address
 * that is never used again and poisoned before and after.
 */
export const TRIAL_MAPPINGS = ['direct', 'bounced', 'translated'] as const;
/** One of {@link TRIAL_MAPPINGS}. */
export type TrialMappingKind = (typeof TRIAL_MAPPINGS)[number];

/** One mapping for all queues of a trial, with the address space behind it. */
export interface TrialMapping {
  readonly mapping: DmaMapping;
  readonly space: DeviceAddressSpace;
  /** A view of the mapping for one queue, which does not own it. */
  forQueue(): DmaMapping;
  dispose(): void;
}

/** Mappings that can live at once. */
const CAPACITY = 4096;
/** Bytes of the pool that is copied through. */
const POOL = 2 ** 20;

/** A view of a mapping that is shared. */
class SharedMapping extends ForwardingDmaMapping {
  override dispose(): void {}
}

/** Opens a mapping over guest memory. */
export function openTrialMapping(kind: TrialMappingKind, memory: GuestMemory): TrialMapping {
  const faults = new FaultLog();
  const physical = (): DmaMapping => new DirectDmaMapping(memory, { path: 'physical', capacity: CAPACITY });
  if (kind === 'translated') {
    const mapping = new PoisoningDmaMapping(memory, { capacity: CAPACITY });
    return opened(mapping, mapping.openAddressSpace(faults), () => mapping.dispose());
  }
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, faults, undefined);
  if (kind === 'direct') {
    const mapping = physical();
    return opened(mapping, space, () => mapping.dispose());
  }
  const pool = new BouncedMappings(memory, { bytes: POOL }, physical);
  return opened(pool.openMapping({ queue: 0, capacity: CAPACITY }), space, () => pool.dispose());
}

function opened(mapping: DmaMapping, space: DeviceAddressSpace, dispose: () => void): TrialMapping {
  return { mapping, space, forQueue: () => new SharedMapping(mapping), dispose };
}
