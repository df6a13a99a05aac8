import type { SimulatedHardware } from '@virtio-platform/core';
import { resetDevice, type Transport } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { bootMachine } from './boot-machine.ts';
import { openAddressSpace, openThrowing } from './counting-space.ts';
import { startBlock } from './started-block.ts';

const MODULE = new URL('counting-space.ts', import.meta.url).href;

function counting(resets: SharedArrayBuffer): () => SimulatedHardware {
  return () => ({
    facilities: new Map(),
    addressSpace: () => ({ module: MODULE, state: resets, open: openAddressSpace }),
  });
}

function throwing(): SimulatedHardware {
  return { facilities: new Map(), addressSpace: () => ({ state: undefined, open: openThrowing }) };
}

function negotiateQueueReset(transport: Transport): void {
  for (const status of [1, 3]) transport.writeStatus(status);
  transport.writeDriverFeatures(FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET));
  for (const status of [11, 15]) transport.writeStatus(status);
}

describe.each(['same-thread', 'worker'] as const)('the address space of a device: %s', (device) => {
  it.each(['needs-reset', 'zeros', 'silent'] as const)(
    'learns of each reset, when the device has %s',
    async (onFault) => {
      const resets = new SharedArrayBuffer(4);
      const machine = await bootMachine({ simulate: counting(resets), options: { device, onFault } });
      startBlock(machine);
      const before = new Uint32Array(resets)[0]!;
      resetDevice(machine.transport);
      expect(new Uint32Array(resets)[0]).toBe(before + 1);
    },
  );

  it('learns of the reset of a queue', async () => {
    const resets = new SharedArrayBuffer(4);
    const machine = await bootMachine({ simulate: counting(resets), options: { device } });
    const { transport, memory } = machine;
    resetDevice(transport);
    negotiateQueueReset(transport);
    const ring = memory.allocate(4096);
    transport.enableQueue(0, { size: 4, words: new Uint32Array([ring, 0, ring + 1024, 0, ring + 2048, 0]) });
    const before = new Uint32Array(resets)[0]!;
    transport.resetQueue(0);
    expect(new Uint32Array(resets)[0]).toBe(before + 1);
  });
});

describe('an address space that throws when it learns of a reset', () => {
  it('is an error inside the device, and the device is reset all the same', async () => {
    const { transport, faults } = await bootMachine({ simulate: throwing });
    resetDevice(transport);
    expect(transport.readStatus()).toBe(0);
    expect(faults.entries[0]).toMatchObject({
      cause: 'device-error',
      detail: expect.stringContaining('the back-end is gone'),
    });
  });
});
