import { exitCallOf, stackFrames } from '@virtio-platform/core';
import { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '@virtio-platform/device-block';
import type { BootedMachine, SimulatedHardware } from '@virtio-platform/core';
import type { AddressSpaceBlueprint } from '@virtio-platform/core/address-space';
import { DeviceStatus } from '@virtio-platform/core/device';
import { afterEach, describe, expect, it } from 'vitest';
import { startBlock } from './started-block.ts';
import { testMachine } from './test-machine.ts';
import { MESSAGE, openAddressSpace } from './throwing-space.ts';

const SPACE = new URL('./throwing-space.ts', import.meta.url).href;

let machine: BootedMachine | undefined;

afterEach(async () => {
  await machine?.dispose();
  machine = undefined;
});

/** Boots a machine whose device reaches memory through a module, in this thread or in a worker. */
async function boot(device: 'same-thread' | 'worker', module: string, state: unknown): Promise<BootedMachine> {
  const blueprint: AddressSpaceBlueprint = { module, state, open: openAddressSpace };
  const simulate = (): SimulatedHardware => ({ facilities: new Map(), addressSpace: () => blueprint });
  return (machine = await testMachine({ options: { device }, simulate }).boot());
}

describe.each(['same-thread', 'worker'] as const)('an error inside of a device, in %s', (device) => {
  it('C6 T10 is a reset that the device asks for, and a fault with the error and its place', async () => {
    const { transport, faults } = await boot(device, SPACE, 16);
    const block = startBlock(machine!);
    block.publish(VIRTIO_BLK_T_OUT);
    expect(() => block.notify()).not.toThrow();
    expect(block.collect()).toEqual([]);
    expect(transport.readStatus() & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
    expect(faults.entries).toEqual([
      { address: 0n, length: 0, access: 'write', cause: 'device-error', detail: expect.any(String) },
    ]);
    const { detail } = faults.entries[0]!;
    expect(detail).toContain(`queue 0: TypeError: ${MESSAGE}, at `);
    expect(detail).toContain('throwing-space.ts');
  });

  it('C6 ends with the reset: the device works again', async () => {
    await boot(device, SPACE, 512 + 1);
    const block = startBlock(machine!);
    block.publish(VIRTIO_BLK_T_IN);
    block.notify();
    expect(block.collect()).toEqual([0]);
  });
});

describe('a device in a worker', () => {
  it('T10 says why its thread did not start: a module that is missing', async () => {
    const missing = new URL('./no-such-module.mjs', import.meta.url).href;
    await expect(boot('worker', missing, undefined)).rejects.toMatchObject({
      code: 'ERR_PLUGIN_CONTRACT',
      hook: 'addressSpace.module',
      message: expect.stringMatching(/cannot be loaded: Error: Cannot find module .*no-such-module/),
    });
  });

  it('T10 says why its thread did not start: a module without the function', async () => {
    const other = new URL('./test-machine.ts', import.meta.url).href;
    await expect(boot('worker', other, undefined)).rejects.toMatchObject({
      code: 'ERR_PLUGIN_CONTRACT',
      message: expect.stringContaining('exports undefined as openAddressSpace, not a function'),
    });
  });

  it.each([['throws', 'a throwing exit']])('T10 says why its thread ended later: it %s', async (how, message) => {
    const { transport } = await boot('worker', new URL('./ending-space.ts', import.meta.url).href, how);
    const block = startBlock(machine!);
    block.publish(VIRTIO_BLK_T_IN);
    block.notify();
    // The thread's own event loop has to say that it ended; ours has to hear it.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(transport.wait(0)).toBe('lost');
    expect(() => transport.readStatus()).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_LOST' }));
    expect(() => transport.readStatus()).toThrow(message);
  });

  it('does not let a platform end its thread', async () => {
    const { transport, deviceError } = await boot(
      'worker',
      new URL('./ending-space.ts', import.meta.url).href,
      'exits',
    );
    const block = startBlock(machine!);
    block.publish(VIRTIO_BLK_T_IN);
    block.notify();
    transport.wait(1000);
    expect(transport.readStatus() & DeviceStatus.NeedsReset).not.toBe(0);
    expect(exitCallOf(deviceError?.()?.thrown)).toBe('process.exit(3)');
    expect(stackFrames(deviceError?.()?.thrown).join()).toContain('ending-space');
  });
});
