import { readdirSync } from 'node:fs';
import type { MachineRequest } from '@virtio-platform/core';
import { VFIO_CONTAINER } from '@virtio-platform/platform-vfio';
import { bindMachine, machineRequest } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';
import plugin, { VfioMachine, vfioMachineSchema } from '../src/index.ts';

const REQUEST = machineRequest({ needs: [VFIO_CONTAINER] });
/** A device that no computer has: function 7 in slot 31 of bus 0xfe. */
const OPTIONS = vfioMachineSchema.parse({ device: '0000:fe:1f.7' });

function booted(request: Partial<MachineRequest>): Promise<unknown> {
  return new VfioMachine({ ...REQUEST, ...request }, OPTIONS).boot();
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('the vfio plugin', () => {
  it('binds the machine', () => {
    expect(bindMachine(plugin, OPTIONS, REQUEST).machine).toBeInstanceOf(VfioMachine);
  });

  it('reports that there is no such device', async () => {
    const missing = await plugin.missing(OPTIONS);
    expect(missing.map(({ what }) => what)).toEqual(['there is no virtio device at 0000:fe:1f.7']);
  });

  it('discovers devices without changing them', async () => {
    const found = await plugin.discover!();
    expect(found.devices.every(({ what }) => what.startsWith('virtio '))).toBe(true);
  });
});

describe('vfioMachineSchema', () => {
  it('accepts a PCI address, and fills in the defaults', () => {
    expect(OPTIONS).toEqual({ device: '0000:fe:1f.7', container: 'type1v2', sharesWith: [], interrupts: 'msix' });
  });

  it.each([
    '00:03.0',
    '0000:00:3.0',
    '0000:00:03.8',
    '0000:00:23.0',
    '../../../etc',
    '0000:00:03.0/..',
    '0000:00:03.0\n',
  ])('refuses %j, which is not a PCI address', (device) => {
    expect(vfioMachineSchema.safeParse({ device }).success).toBe(false);
  });
});

describe('VfioMachine', () => {
  it('refuses a platform that needs another facility, or none', async () => {
    await expect(booted({ needs: [] })).rejects.toMatchObject({ code: 'ERR_PLUGIN_FACILITY' });
    await expect(booted({ needs: [VFIO_CONTAINER, Symbol('other')] })).rejects.toMatchObject({
      code: 'ERR_PLUGIN_FACILITY',
    });
  });

  it('refuses the legacy interface', async () => {
    const device = { ...REQUEST.device, driverInterface: 'legacy' } as const;
    await expect(booted({ device })).rejects.toMatchObject({ code: 'ERR_MACHINE_INTERFACE' });
  });

  it.each(['type1', 'type1v2', 'iommufd'] as const)(
    'closes all files where a container of %s cannot be opened',
    async (type) => {
      const before = openFiles();
      const machine = new VfioMachine(REQUEST, { ...OPTIONS, container: type });
      await expect(machine.boot()).rejects.toMatchObject({ code: 'ERR_MACHINE_START', hint: expect.any(String) });
      expect(openFiles()).toBe(before);
    },
  );
});
