import type { DeviceFault, FaultCause } from '@virtio-platform/core/address-space';
import type { IommuEvent } from './event-buffers.ts';
import { ACCESS_READ, ACCESS_WRITE, EVENT_HAS_ADDRESS, REASON_DOMAIN, REASON_MAPPING } from './request-format.ts';

/** A fault that the unit reported by an event. An event has an address and no length, so the fault covers one byte. */
export interface VirtioIommuFault extends DeviceFault {
  /** The reason of the event, also an unknown one. */
  readonly reason: number;
  /** The meaning of the reason. */
  readonly detail: string;
}

/**
 * Interprets an event; `permissions` looks an address up among the mappings that the driver asked for, so that a
 * missing permission is told from a missing mapping.
 */
export function describeEvent(event: IommuEvent, permissions: (low: number, high: number) => number): VirtioIommuFault {
  const { reason, flags } = event;
  const address = (flags & EVENT_HAS_ADDRESS) === 0 ? 0n : event.address;
  const access = (flags & ACCESS_WRITE) === 0 ? 'read' : 'write';
  const granted = permissions(Number(address & 0xffff_ffffn), Number(address >> 32n));
  return { address, length: 1, access, cause: causeOf(reason, access, granted), reason, detail: detailOf(reason) };
}

function causeOf(reason: number, access: 'read' | 'write', granted: number): FaultCause {
  if (reason === REASON_DOMAIN) return 'unmapped';
  if (reason !== REASON_MAPPING) return 'iommu-error';
  if (granted === 0) return 'unmapped';
  const needed = access === 'read' ? ACCESS_READ : ACCESS_WRITE;
  if ((granted & needed) !== 0) return 'unmapped';
  return access === 'read' ? 'read-not-permitted' : 'write-not-permitted';
}

function detailOf(reason: number): string {
  if (reason === REASON_DOMAIN) return 'the endpoint has no domain';
  if (reason === REASON_MAPPING) return 'the domain has no mapping that permits the access';
  return `reason ${reason}: not one that the specification explains; QEMU gives 0 also for an endpoint without a domain`;
}
