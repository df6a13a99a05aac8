import type { Transport } from '@virtio-platform/core/device';
import { DirectDmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { PolledMsix } from '../src/polled-msix.ts';
import type { SoftwareFunction } from './register-file.ts';

/** Guest memory of 64 KiB, and the MSI-X of a function in it, of which the driver uses two vectors. */
export function polledMsix(pci: SoftwareFunction): { readonly memory: GuestMemory; readonly msix: PolledMsix } {
  const memory = new GuestMemory(new SharedArrayBuffer(0x10000));
  return { memory, msix: new PolledMsix(pci, memory, 2) };
}

/**
 * Gives a transport the memory for its MSI-X messages, at physical addresses, as a driver does before its first queue.
 */
export function allocateMsiRegion(transport: Transport, memory: GuestMemory): DmaRegion {
  const request = transport.interruptMessages!;
  const region = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 }).allocateCoherent(request.bytes, 4);
  request.receiveIn(region);
  return region;
}
