import { deviceDescription } from '@virtio-platform/conformance/testing';
import balloon from '@virtio-platform/device-balloon';
import block from '@virtio-platform/device-block';
import console from '@virtio-platform/device-console';
import entropy from '@virtio-platform/device-entropy';
import net from '@virtio-platform/device-net';
import scsi from '@virtio-platform/device-scsi';
import { describe, expect, it } from 'vitest';
import { deviceArguments } from '../src/device-arguments.ts';
import { qemuOptionsSchema } from '../src/options.ts';
import { qemuArguments } from '../src/qemu-process.ts';

function issuesOf(input: object): readonly (readonly [string, string])[] {
  const { error } = qemuOptionsSchema.safeParse({ board: 'q35', iommu: 'intel', ...input });
  return (error?.issues ?? []).map(({ path, message }) => [path.join('.'), message]);
}

describe('arguments of the profile that QEMU takes and that change nothing', () => {
  it.each([
    'intel-iommu.caching-mode=on',
    'intel-iommu.intremap=on',
    'intel-iommu.aw-bits=48',
    'intel-iommu.dma_drain=off',
    'x86-iommu.pt=off',
    'intel-iommu.x-scalable-mode=on',
    'intel-iommu.snoop-control=on',
    'driver=intel-iommu,property=caching-mode,value=on',
    'virtio-blk-pci.packed=on',
    'virtio-blk-device.packed=on',
    'virtio-net-pci.iommu-platform=on',
    'virtio-device.event_idx=off',
    'virtio-pci.disable-legacy=on',
    'virtio-net-device.mac=52:54:00:00:00:01',
    'virtio-blk-pci.num-queues=4',
    'virtio-serial-device.max_ports=31',
    'spapr-pci-host-bridge.dma_win_size=128M',
    'spapr-pci-host-bridge.ddw=off',
  ])('S8 are refused: -global %s', (value) => {
    const issues = issuesOf({ arguments: ['-d', 'guest_errors', '-global', value] });
    expect(issues).toEqual([['arguments.3', expect.stringContaining('has no effect: ')]]);
  });

  it.each([
    ['-m', '8G', 'arguments.0', 'machine.memory'],
    ['-global', 'virtio-mmio.force-legacy=on', 'arguments.1', 'device.interface'],
    ['-global', 'driver=virtio-mmio,property=force-legacy,value=on', 'arguments.1', 'device.interface'],
    ['-smp', '4', 'arguments.0', 'one processor'],
    ['--bios', 'x', 'arguments.0', 'the machine'],
    ['-M', 'pc', 'arguments.1', 'machine.board'],
    ['-machine', 'type=pc,usb=off', 'arguments.1', 'machine.board'],
    ['-machine', 'usb=off,memory-backend=other', 'arguments.1', 'machine.memory'],
    ['-machine', 'iommu=smmuv3', 'arguments.1', 'machine.iommu'],
  ])('S8 are refused where they contradict the profile: %s %s', (option, value, path, owner) => {
    expect(issuesOf({ arguments: [option, value] })).toEqual([[path, expect.stringContaining(owner)]]);
  });

  it.each([
    ['-global', 'intel-iommu.dma-translation=off'],
    ['-device', 'pci-testdev'],
    ['-device', '{"driver":"pci-testdev"}'],
    ['-global', 'virtio-blk-device.queue-size=1024'],
    ['-global', 'virtio-net-device.rx_queue_size=1024'],
    ['-machine', 'usb=off'],
    ['-M', 'q35'],
    ['-d', 'guest_errors'],
    ['-device', 'virtio-nonsense'],
    ['-global'],
    ['-global', 'nonsense'],
  ])('S8 are left to QEMU where the machine sets nothing of the kind: %s %s', (...words) => {
    expect(issuesOf({ arguments: words })).toEqual([]);
  });

  it.each([
    ['intel-iommu', 'intel'],
    ['intel-iommu,intremap=on,caching-mode=on,aw-bits=48', 'intel'],
    ['driver=intel-iommu,aw-bits=48', 'intel'],
    ['{"aw-bits":48,"driver":"intel-iommu"}', 'intel'],
    ['virtio-iommu-pci,boot-bypass=off', 'virtio'],
    ['amd-iommu,intremap=on', 'amd'],
  ])('S8 are refused where they are an IOMMU: -device %s', (value, iommu) => {
    for (const of of ['none', 'amd', 'intel', 'virtio'])
      expect(issuesOf({ iommu: of, arguments: ['-device', value] })).toEqual([
        ['arguments.1', expect.stringContaining(`machine.iommu: write machine.iommu: ${iommu}`)],
      ]);
  });

  it('S8 say what to write instead of a property', () => {
    expect(issuesOf({ arguments: ['-global', 'intel-iommu.aw-bits=48'] })).toEqual([
      ['arguments.1', expect.stringContaining('machine.intelIommu.addressWidth decides aw-bits of intel-iommu')],
    ]);
  });

  it('S8 are refused where they are properties of an AMD IOMMU that the machine sets', () => {
    const words = ['-global', 'amd-iommu.intremap=on'];
    expect(issuesOf({ iommu: 'amd', arguments: words })).toEqual([
      ['arguments.1', expect.stringContaining('the machine decides intremap of amd-iommu')],
    ]);
    expect(issuesOf({ arguments: words })).toEqual([]);
  });

  it('S8 are not refused for an IOMMU that the machine does not have', () => {
    expect(issuesOf({ iommu: 'none', arguments: ['-global', 'intel-iommu.caching-mode=on'] })).toEqual([]);
  });

  it('S8 include every property that the machine sets', () => {
    const units = (['intel', 'virtio'] as const).flatMap((iommu) =>
      qemuArguments(qemuOptionsSchema.parse({ board: 'q35', iommu }), 2 ** 30, 'firmware').slice(-1),
    );
    const resources = { image: () => 'image', loopback: () => 5 };
    const words = [balloon, block, console, entropy, net, scsi].flatMap((type) =>
      deviceArguments(deviceDescription(type), resources),
    );
    const globals = [...words, ...units].flatMap((word) => propertiesOf(word));
    expect(globals.length).toBeGreaterThan(20);
    for (const global of globals) expect(issuesOf({ arguments: ['-global', `${global}=x`] }), global).toHaveLength(1);
  });
});

/** The properties in an argument of -device, as `driver.property`; an id is none. */
function propertiesOf(word: string): string[] {
  if (!word.startsWith('{')) return [];
  const { driver, id: _id, ...properties } = JSON.parse(word) as Record<string, unknown>;
  // A blockdev has a driver too.
  if (typeof driver !== 'string' || driver === 'raw') return [];
  return Object.keys(properties).map((property) => `${driver}.${property}`);
}
