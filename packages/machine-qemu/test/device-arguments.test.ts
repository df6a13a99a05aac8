import { deviceDescription as device } from '@virtio-platform/conformance/testing';
import type { QemuResources } from '@virtio-platform/core';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import block from '@virtio-platform/device-block';
import console from '@virtio-platform/device-console';
import entropy from '@virtio-platform/device-entropy';
import net from '@virtio-platform/device-net';
import { describe, expect, it } from 'vitest';
import { deviceArguments } from '../src/device-arguments.ts';

const CAPACITY = 1 << 20;
/** A type without what QEMU has to know of it. */
const { qemu: _qemu, ...UNKNOWN_TO_QEMU } = entropy;

/** A type of which QEMU has a function of PCI alone. */
const FUNCTION_ALONE = { ...entropy, qemu: { arguments: () => ({ device: { driver: 'card-of-pci2' } }) } };

/** Resources without files, which record the requests for them. */
function resources(): QemuResources & { readonly requests: unknown[] } {
  const requests: unknown[] = [];
  return {
    requests,
    image: (path, capacity) => {
      requests.push([path, capacity]);
      return path ?? '/tmp/empty';
    },
    loopback: (kind) => 4 + requests.push(kind),
  };
}

/** The parsed JSON arguments behind each `name`. */
function objects(args: readonly string[], name: string): unknown[] {
  return args.flatMap((argument, i) => (args[i - 1] === name ? [JSON.parse(argument) as unknown] : []));
}

/** The properties of a device that offers these features. */
function offered(offers: FeatureSet | undefined): unknown {
  return objects(deviceArguments(device(entropy, {}, { offers }), resources()), '-device')[0];
}

describe('deviceArguments', () => {
  it('describes a disk in JSON, where the characters of its path have no special meaning', () => {
    const image = `/images/a,b=c "quoted" 'disk' \\ {x}\n.raw`;
    const made = resources();
    const args = deviceArguments(device(block, { capacity: CAPACITY, image, readOnly: true, serial: 'a,b' }), made);
    expect(made.requests).toEqual([[image, 1 << 20]]);
    expect(objects(args, '-blockdev')).toEqual([
      {
        driver: 'raw',
        'node-name': 'disk',
        'read-only': true,
        discard: 'unmap',
        file: { driver: 'file', filename: image, 'read-only': true, discard: 'unmap' },
      },
    ]);
    expect(objects(args, '-device')).toMatchObject([
      { driver: 'virtio-blk-pci', drive: 'disk', serial: 'a,b', addr: '04.0' },
    ]);
  });

  it('puts a device into a slot of virtio-mmio, with the version of its interface', () => {
    const args = deviceArguments(device(block, { capacity: CAPACITY }), resources(), 5);
    expect(args.slice(0, 2)).toEqual(['-global', 'virtio-mmio.force-legacy=false']);
    const [whole] = objects(args, '-device');
    expect(whole).toMatchObject({ driver: 'virtio-blk-device', bus: 'virtio-mmio-bus.5', event_idx: true });
    expect(whole).not.toHaveProperty('addr');
    expect(whole).not.toHaveProperty('disable-legacy');
    const legacy = device(entropy, {}, { interface: 'legacy', driverInterface: 'legacy' });
    expect(deviceArguments(legacy, resources(), 0)).toContain('virtio-mmio.force-legacy=true');
  });

  it.each([
    ['a transitional device', device(entropy, {}, { interface: 'transitional' }), /not transitional/],
    ['a device without a form for it', device(FUNCTION_ALONE, {}), /QEMU's card-of-pci2 is no device for virtio-mmio/],
  ])('refuses %s on virtio-mmio', (_, described, message) => {
    const refusal = { code: 'ERR_MACHINE_DEVICE', message: expect.stringMatching(message) };
    expect(() => deviceArguments(described, resources(), 0)).toThrow(expect.objectContaining(refusal));
  });

  it('requests an empty image where the profile has none', () => {
    const made = resources();
    deviceArguments(device(block, { capacity: CAPACITY }), made);
    expect(made.requests).toEqual([[undefined, 1 << 20]]);
  });

  it('gives a network and each line of a console a loopback', () => {
    const made = resources();
    const packets = deviceArguments(device(net, { mac: '52:54:00:12:34:56' }), made);
    expect(packets).toContain('dgram,id=network,local.type=fd,local.str=5');
    const lines = deviceArguments(device(console, { ports: 2 }), made);
    expect(made.requests).toEqual(['packets', 'stream', 'stream']);
    expect(lines.filter((argument) => argument.startsWith('pipe,'))).toEqual([
      'pipe,id=line0,path=/proc/self/fd/6',
      'pipe,id=line1,path=/proc/self/fd/7',
    ]);
    expect(objects(lines, '-device')).toMatchObject([
      { driver: 'virtio-serial-pci', max_ports: 2 },
      { driver: 'virtconsole', nr: 0, chardev: 'line0', name: 'echo.0' },
      { driver: 'virtserialport', nr: 1, chardev: 'line1', name: 'echo.1' },
    ]);
  });

  it('gives a network a back-end in place of the loopback, with all its pairs of queues', () => {
    const made = { ...resources(), backEnd: '/tmp/a,b/back-end' };
    const args = deviceArguments(device(net, { queuePairs: 4 }), made);
    expect(args.slice(0, 4)).toEqual([
      '-chardev',
      'socket,id=back-end,path=/tmp/a,,b/back-end',
      '-netdev',
      'vhost-user,id=network,chardev=back-end,queues=4',
    ]);
    expect(made.requests).toEqual([]);
  });

  it('gives a disk a back-end in place of an image', () => {
    const made = { ...resources(), backEnd: '/tmp/back-end' };
    const lines = deviceArguments(device(block, { queues: 2 }), made);
    expect(lines.slice(0, 2)).toEqual(['-chardev', 'socket,id=back-end,path=/tmp/back-end']);
    expect(objects(lines, '-device')).toMatchObject([
      { driver: 'vhost-user-blk-pci', chardev: 'back-end', 'num-queues': 2 },
    ]);
    expect(made.requests).toEqual([]);
  });

  it('refuses a back-end for a device that has no use for it', () => {
    const made = { ...resources(), backEnd: '/tmp/back-end' };
    expect(() => deviceArguments(device(entropy, {}), made)).toThrow(
      expect.objectContaining({ code: 'ERR_MACHINE_DEVICE', message: expect.stringMatching(/entropy .*back-end/) }),
    );
  });

  it('gives the ports of a console their numbers and names, and room for more', () => {
    const ports = [{ id: 0, name: '' }, { id: 4, name: 'a "b"', console: true }, { id: 7 }];
    const lines = objects(deviceArguments(device(console, { ports, maxPorts: 9 }), resources()), '-device');
    expect(lines).toMatchObject([
      { driver: 'virtio-serial-pci', max_ports: 9 },
      { driver: 'virtconsole', nr: 0 },
      { driver: 'virtconsole', nr: 4, name: 'a "b"' },
      { driver: 'virtserialport', nr: 7, name: 'echo.7' },
    ]);
    expect(lines[1]).not.toHaveProperty('name');
  });

  it.each([
    [{ ports: [{ id: 0, console: false }] }, /port 0 of QEMU/],
    [{ ports: 2, changes: [{ after: 5, remove: 1 }] }, /through its monitor/],
  ])('refuses what the console of QEMU does not have: %j', (settings, problem) => {
    expect(() => deviceArguments(device(console, settings), resources())).toThrow(problem);
  });

  it.each([
    ['modern', { 'disable-legacy': 'on', 'disable-modern': false }],
    ['transitional', { 'disable-legacy': 'off', 'disable-modern': false }],
    ['legacy', { 'disable-legacy': 'off', 'disable-modern': true }],
  ] as const)('has the interfaces of a %s device', (interfaces, properties) => {
    const args = deviceArguments(device(entropy, {}, { interface: interfaces }), resources());
    expect(objects(args, '-device')).toMatchObject([properties]);
  });

  it('sets the features that QEMU has properties for', () => {
    expect(offered(undefined)).toMatchObject({
      iommu_platform: false,
      packed: false,
      event_idx: true,
      indirect_desc: true,
    });
    expect(offered(FeatureSet.of(VIRTIO_F_VERSION_1))).toMatchObject({ event_idx: false, indirect_desc: false });
    const all = FeatureSet.of(
      VIRTIO_F_ACCESS_PLATFORM,
      VIRTIO_F_RING_PACKED,
      VIRTIO_RING_F_EVENT_IDX,
      VIRTIO_RING_F_INDIRECT_DESC,
    );
    expect(offered(all)).toMatchObject({ iommu_platform: true, packed: true, event_idx: true, indirect_desc: true });
  });

  it.each([
    ['queue pairs', device(net, { queuePairs: 2 }), /more than one pair/],
    ['a seed', device(entropy, { seed: 7 }), /a seed/],
    ['a type', device(entropy, {}, { type: { ...UNKNOWN_TO_QEMU, name: 'gpu' } }), /type gpu/],
  ])("refuses a setting that QEMU's device does not have: %s", (_, wanted, message) => {
    const made = resources();
    expect(() => deviceArguments(wanted, made)).toThrow(
      expect.objectContaining({ code: 'ERR_MACHINE_DEVICE', message: expect.stringMatching(message) }),
    );
    expect(made.requests).toEqual([]);
  });
});
