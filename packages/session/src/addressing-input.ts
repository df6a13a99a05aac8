import { addressEnd, FULL_ADDRESSING, type DeviceAddressing } from '@virtio-platform/core/dma';
import type { NegotiationInput } from '@virtio-platform/core/negotiation';

/** What negotiation is told of the addresses that a device takes, in a guest with `memory` bytes. */
export function addressingInput(
  addressing: DeviceAddressing | undefined,
  memory: number,
): Pick<NegotiationInput, 'addressBits' | 'reachesMemory'> {
  const known = addressing ?? FULL_ADDRESSING;
  return { addressBits: known.addressBits, reachesMemory: memory <= addressEnd(known) };
}
