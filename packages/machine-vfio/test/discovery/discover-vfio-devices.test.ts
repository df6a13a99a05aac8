import type { MissingRequirement } from '@virtio-platform/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { missingForDevice, discoverVfioDevices } from '../../src/index.ts';
import { FakeSystem } from './fake-system.ts';

const DEVICE = '0000:00:03.0';
const OTHER = '0000:00:03.1';

let system: FakeSystem;
beforeEach(() => {
  system = new FakeSystem();
});
afterEach(() => system.dispose());

/** Adds loaded modules and one device that is ready. */
function addReady(): void {
  system.add({ address: DEVICE, group: '7', driver: 'vfio-pci', characterDevice: 'vfio0' });
  for (const file of ['/dev/vfio/vfio', '/dev/vfio/7', '/dev/iommu', '/dev/vfio/devices/vfio0']) system.addFile(file);
}

function fixes(missing: readonly MissingRequirement[]): string[] {
  return missing.map(({ fix }) => fix);
}

describe('discoverVfioDevices', () => {
  it('finds no device on a computer without PCI, and reports that Linux uses no IOMMU', () => {
    const { devices, missing } = discoverVfioDevices(system.view());
    expect(devices).toEqual([]);
    expect(fixes(missing)).toEqual([expect.stringContaining('intel_iommu=on'), 'sudo modprobe vfio-pci']);
  });

  it('shows a device that is ready, with its group and driver', () => {
    addReady();
    expect(discoverVfioDevices(system.view())).toEqual({
      missing: [],
      devices: [
        { name: DEVICE, what: 'virtio block device', details: { 'IOMMU group': '7', driver: 'vfio-pci' }, missing: [] },
      ],
    });
  });

  it('names the types of virtio devices, also of transitional ones, and leaves out other devices', () => {
    system.add({ address: '0000:00:01.0', device: '0x1000', subsystem: '0x1' });
    system.add({ address: '0000:00:02.0', device: '0x1044' });
    system.add({ address: '0000:00:04.0', device: '0x1053' });
    system.add({ address: '0000:00:05.0', device: '0x1080' });
    system.add({ address: '0000:00:06.0', vendor: '0x8086', device: '0x1042' });
    const { devices } = discoverVfioDevices(system.view());
    expect(devices.map(({ what }) => what)).toEqual([
      'virtio network card',
      'virtio entropy source',
      'virtio socket device',
    ]);
  });

  it('shows the command that unbinds a device from its driver', () => {
    system.add({ address: DEVICE, group: '7', driver: 'virtio-pci' });
    const [device] = discoverVfioDevices(system.view()).devices;
    expect(device!.details).toEqual({ 'IOMMU group': '7', driver: 'virtio-pci' });
    expect(fixes(device!.missing)).toEqual([
      `echo vfio-pci | sudo tee /sys/bus/pci/devices/${DEVICE}/driver_override` +
        ` && echo ${DEVICE} | sudo tee /sys/bus/pci/devices/${DEVICE}/driver/unbind` +
        ` && echo ${DEVICE} | sudo tee /sys/bus/pci/drivers_probe`,
    ]);
  });

  it('does not unbind a device without a driver', () => {
    system.add({ address: DEVICE, group: '7' });
    const [device] = discoverVfioDevices(system.view()).devices;
    expect(device!.details['driver']).toBe('none');
    expect(fixes(device!.missing)).toEqual([expect.not.stringContaining('unbind')]);
  });

  it('shows the other devices of a group, and requires vfio-pci for those that could do DMA', () => {
    addReady();
    system.add({ address: OTHER, group: '7', vendor: '0x8086', driver: 'e1000e' });
    system.add({ address: '0000:00:03.2', group: '7', vendor: '0x8086' });
    system.add({ address: '0000:00:03.3', group: '7', vendor: '0x8086', class: '0x060400', driver: 'pcieport' });
    const [device] = discoverVfioDevices(system.view()).devices;
    expect(device!.details['in its group']).toBe(`${OTHER} (e1000e), 0000:00:03.2 (none), 0000:00:03.3 (pcieport)`);
    expect(device!.missing).toEqual([
      { what: expect.stringContaining(`${OTHER} (e1000e)`), fix: expect.stringContaining(`echo ${OTHER} |`) },
    ]);
    expect(device!.missing[0]!.fix).not.toMatch(/03\.0|03\.2|03\.3/);
  });

  it('distinguishes a device without an IOMMU from a computer without one', () => {
    system.add({ address: DEVICE, driver: 'virtio-pci' });
    expect(discoverVfioDevices(system.view()).devices[0]!.missing).toEqual([]);
    system.add({ address: OTHER, group: '7' });
    expect(discoverVfioDevices(system.view()).devices[0]!.missing).toEqual([
      { what: `no IOMMU translates for ${DEVICE}`, fix: expect.stringContaining('intel_iommu=on') },
    ]);
  });

  it('shows the command that gives the files of a device to a user', () => {
    addReady();
    const { missing, devices } = discoverVfioDevices(system.view({ forbidden: ['/dev/vfio/vfio', '/dev/vfio/7'] }));
    expect(fixes(missing)).toEqual(['sudo chmod 666 /dev/vfio/vfio']);
    expect(fixes(devices[0]!.missing)).toEqual(['sudo chown alice /dev/vfio/7']);
  });

  it('reports a memory-lock limit that is too low, and the command that raises it', () => {
    addReady();
    expect(discoverVfioDevices(system.view({ limit: 65536 })).missing).toEqual([
      {
        what: expect.stringMatching(/65536 bytes.*262144/),
        fix: expect.stringContaining('prlimit --pid $$ --memlock='),
      },
    ]);
    expect(discoverVfioDevices(system.view({ limit: 8 * 2 ** 20 })).missing).toEqual([]);
  });
});

describe('missingForDevice', () => {
  it('is empty for a device that is ready', () => {
    addReady();
    expect(missingForDevice(system.view(), DEVICE, 'type1v2')).toEqual([]);
    expect(missingForDevice(system.view(), DEVICE, 'iommufd')).toEqual([]);
  });

  it('requires other files for iommufd', () => {
    addReady();
    const forbidden = ['/dev/iommu', '/dev/vfio/devices/vfio0'];
    expect(fixes(missingForDevice(system.view({ forbidden }), DEVICE, 'iommufd'))).toEqual([
      'sudo chmod 666 /dev/iommu',
      'sudo chown alice /dev/vfio/devices/vfio0',
    ]);
    expect(missingForDevice(system.view({ forbidden }), DEVICE, 'type1')).toEqual([]);
  });

  it('reports a kernel without iommufd, or without a file for the device', () => {
    system.add({ address: DEVICE, group: '7', driver: 'vfio-pci' });
    expect(missingForDevice(system.view(), DEVICE, 'iommufd').map(({ what }) => what)).toEqual([
      'the kernel has no /dev/iommu',
      `the kernel has no file for ${DEVICE} below /dev/vfio/devices`,
    ]);
  });

  it('names a device that does not exist, or is not a virtio device', () => {
    system.add({ address: DEVICE, vendor: '0x8086' });
    for (const address of [DEVICE, OTHER])
      expect(missingForDevice(system.view(), address, 'type1v2').map(({ what }) => what)).toEqual([
        `there is no virtio device at ${address}`,
      ]);
  });
});
