import { readFileSync } from 'node:fs';
import type { BootedMachine } from '@virtio-platform/core';
import { resetDevice } from '@virtio-platform/core/device';
import { DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import {
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
} from '@virtio-platform/core/features';
import { VFIO_CONTAINER, VfioPlatform, vfioOptionsSchema, type Type1Container } from '@virtio-platform/platform-vfio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildNetEcho, skipsNetEcho } from '@virtio-platform/conformance/testing';
import { OFFERS, withNetDevice, type NetOptions } from '../net-echo.ts';
import { claim, HEADER, NetRing } from '../net-ring.ts';
import { sharedFile } from '../storage-daemon.ts';

const SKIPS_DPDK = skipsNetEcho();

const PAGE = 4096;
const READ = 1;
const WRITE = 2;
/** Where the platform maps nothing of its own. */
const SEND = 0x12_0000_0000;
const RECEIVE = 0x13_0000_0000;
const LENGTH = 1000;
/** How long a stalled queue is watched. */
const WATCHED_MS = 300;

let program = '';
let remove = (): void => {};
beforeAll(() => {
  if (!SKIPS_DPDK) ({ program, remove } = buildNetEcho());
});
afterAll(() => remove());

/** A container and memory of the driver's, and what opens mappings for rings. */
interface Driver {
  readonly machine: BootedMachine;
  readonly container: Type1Container;
  readonly openMapping: (queue: number) => DmaMapping;
  /** Whole pages of guest memory, filled. */
  readonly pages: (count: number, byte: number) => number;
}

function withDriver(options: NetOptions, use: (driver: Driver) => void | Promise<void>): Promise<void> {
  return withNetDevice(program, options, async (machine) => {
    const { memory, facilities } = machine;
    // The token says which interface it is.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const container = facilities.get(VFIO_CONTAINER) as Type1Container;
    const platform = new VfioPlatform(vfioOptionsSchema.parse({}), memory, container);
    await use({
      machine,
      container,
      openMapping(queue) {
        const mapping = platform.openMapping('translated', { queue, capacity: 64 });
        return machine.watchMapping?.(mapping) ?? mapping;
      },
      pages(count, byte) {
        const address = memory.allocate(count * PAGE, PAGE);
        memory.u8.fill(byte, address, address + count * PAGE);
        memory.u8.fill(0, address, address + HEADER);
        return address;
      },
    });
    platform.dispose();
  });
}

/** The back-end that this process started; there is one at a time. */
function backEnd(): number {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  const found = children.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(program));
  expect(found).toHaveLength(1);
  return Number(found[0]);
}

/** Part of a region, from its start. */
function startOf(region: DmaRegion, length: number): DmaRegion {
  return {
    ...claim(0, length),
    writeDeviceAddress: (offset, words, at) => region.writeDeviceAddress(offset, words, at),
  };
}

/** Maps a page to send from and one to receive in. */
function mapBoth({ container, pages }: Driver): { readonly sent: number; readonly received: number } {
  const [sent, received] = [pages(1, 0x51), pages(1, 0)];
  expect(container.mapDma(sent, SEND, PAGE, READ)).toBe(0);
  expect(container.mapDma(received, RECEIVE, PAGE, WRITE)).toBe(0);
  return { sent, received };
}

describe.skipIf(SKIPS_DPDK)('IOTLB with librte_vhost', () => {
  it('offers what the back-end has and the machine adds, and nothing that needs a control queue', () =>
    withNetDevice(program, { offers: 'all' }, ({ transport }) => {
      const offered = transport.readDeviceFeatures();
      for (const bit of [VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MAC]) {
        expect(offered.has(bit)).toBe(true);
      }
      for (const bit of [VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, 26, 30]) expect(offered.has(bit)).toBe(false);
      expect(transport.queueCount).toBe(2);
      const config = new Uint8Array(8);
      transport.readConfig(0, config);
      expect([...config]).toEqual([0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0]);
    }));

  it.each(['split', 'packed'] as const)('sends packets there and back, reset after reset: %s', (layout) =>
    withDriver({ iotlb: { fill: 'at-map' } }, ({ machine, openMapping, pages }) => {
      const { memory, faults } = machine;
      const [sent, received] = [pages(1, 1), pages(1, 0)];
      for (let round = 1; round < 4; round++) {
        const mapping = openMapping(0);
        const regions = [
          mapping.premap(sent, PAGE, DmaDirection.ToDevice),
          mapping.premap(received, PAGE, DmaDirection.FromDevice),
        ] as const;
        const ring = new NetRing(machine, openMapping, layout);
        // More than the ring has entries, so that it wraps.
        for (let i = 0; i < 150; i++) {
          memory.u8.fill(i + round, sent + HEADER, sent + PAGE);
          ring.receive(startOf(regions[1], 1500));
          ring.send(startOf(regions[0], LENGTH));
          expect(ring.arrived()).toBe(LENGTH);
          expect(memory.u8[received + LENGTH - 1]).toBe(i + round);
          expect(memory.u8[received + LENGTH]).toBe(0);
        }
        ring.end();
        for (const region of regions) region.release();
        mapping.dispose();
        expect(sharedFile().every((byte) => byte === 0)).toBe(true);
      }
      expect(faults.entries).toEqual([]);
    }),
  );

  it('drops no packet on the page behind one that is unmapped', () =>
    withDriver({ iotlb: { fill: 'at-map' } }, ({ machine, openMapping, pages }) => {
      const { view } = machine.memory;
      const [sent, received, target] = [pages(2, 1), pages(1, 0), pages(1, 0)];
      const mapping = openMapping(0);
      const ring = new NetRing(machine, openMapping, 'packed');
      const receiving = mapping.premap(received, PAGE, DmaDirection.FromDevice);
      for (let i = 0; i < 20; i++) {
        const regions = [0, PAGE].map((offset) => mapping.premap(sent + offset, PAGE, DmaDirection.ToDevice));
        const addresses = regions.map((region) => {
          region.writeDeviceAddress(0, new Uint32Array(machine.memory.buffer, target, 2), 0);
          return Number(view.getBigUint64(target, true));
        });
        expect(Math.abs(addresses[0]! - addresses[1]!)).toBe(PAGE);
        const [low, high] = addresses[0]! < addresses[1]! ? [0, 1] : [1, 0];
        regions[low]!.release();
        ring.receive(startOf(receiving, 1500));
        ring.send(startOf(regions[high]!, LENGTH));
        expect(ring.arrived(WATCHED_MS)).toBe(LENGTH);
        regions[high]!.release();
      }
      ring.end();
      receiving.release();
      mapping.dispose();
    }));

  it('has a page only between the first look at it and its unmapping', () =>
    withDriver({}, (driver) => {
      const { machine, container, openMapping } = driver;
      const { sent } = mapBoth(driver);
      const isKnown = (): boolean =>
        sharedFile()
          .subarray(sent, sent + PAGE)
          .includes(0x51);
      const ring = new NetRing(machine, openMapping);
      expect(isKnown()).toBe(false);
      ring.receive(claim(RECEIVE, PAGE));
      ring.send(claim(SEND, LENGTH));
      expect(ring.arrived()).toBe(LENGTH);
      expect(isKnown()).toBe(true);
      expect(container.unmapDma(SEND, PAGE)).toBe(PAGE);
      expect(isKnown()).toBe(false);
      expect(machine.memory.u8[sent + PAGE - 1]).toBe(0x51);
      // The device is told of the same address again, and has to ask.
      ring.receive(claim(RECEIVE, PAGE));
      ring.send(claim(SEND, LENGTH));
      expect(ring.arrived(WATCHED_MS)).toBe('timeout');
      expect(machine.faults.entries).toEqual([{ address: BigInt(SEND), length: 1, access: 'read', cause: 'unmapped' }]);
      ring.end();
      container.unmapDma(RECEIVE, PAGE);
    }));

  it('sees the new page at an address that was unmapped, a thousand times', () =>
    withDriver({}, ({ machine, container, openMapping, pages }) => {
      const { memory, faults } = machine;
      const [sent, received] = [pages(2, 1), pages(2, 0)];
      const ring = new NetRing(machine, openMapping);
      for (let i = 0; i < 1000; i++) {
        const other = (i % 2) * PAGE;
        memory.u8.fill(i, sent + other + HEADER, sent + other + PAGE);
        expect(container.mapDma(sent + other, SEND, PAGE, READ)).toBe(0);
        expect(container.mapDma(received + other, RECEIVE, PAGE, WRITE)).toBe(0);
        ring.receive(claim(RECEIVE, PAGE));
        ring.send(claim(SEND, LENGTH));
        expect(ring.arrived()).toBe(LENGTH);
        expect(memory.u8[received + other + LENGTH - 1]).toBe(i % 256);
        expect(container.unmapDma(SEND, PAGE)).toBe(PAGE);
        expect(container.unmapDma(RECEIVE, PAGE)).toBe(PAGE);
      }
      expect(faults.entries).toEqual([]);
      ring.end();
    }));

  it.each([
    ['an address that is not mapped', 0, WRITE, [['read', 'unmapped']]],
    ['a packet where only writing is permitted', WRITE, WRITE, [['read', 'read-not-permitted']]],
    ['a buffer where only reading is permitted', READ, READ, [['write', 'write-not-permitted']]],
  ])('gets nothing for %s, and the queue stalls', (_, send, receive, faults) =>
    withDriver({ iotlb: { writeImpliesRead: false } }, ({ machine, container, openMapping, pages }) => {
      const [sent, received] = [pages(1, 0x51), pages(1, 0x52)];
      if (send !== 0) container.mapDma(sent, SEND, PAGE, send);
      container.mapDma(received, RECEIVE, PAGE, receive);
      const ring = new NetRing(machine, openMapping);
      ring.receive(claim(RECEIVE, PAGE));
      ring.send(claim(SEND, LENGTH));
      expect(ring.arrived(WATCHED_MS)).toBe('timeout');
      expect(machine.faults.entries.map(({ access, cause }) => [access, cause])).toEqual(faults);
      expect(machine.memory.u8[received + PAGE - 1]).toBe(0x52);
      expect(machine.memory.u8[received + HEADER]).toBe(0x52);
      // A stalled queue can be reset like any other, and works again.
      ring.end();
      container.unmapDma(RECEIVE, PAGE);
      container.mapDma(received, RECEIVE, PAGE, READ | WRITE);
      container.unmapDma(SEND, PAGE);
      container.mapDma(sent, SEND, PAGE, READ);
      const again = new NetRing(machine, openMapping);
      again.receive(claim(RECEIVE, PAGE));
      again.send(claim(SEND, LENGTH));
      expect(again.arrived()).toBe(LENGTH);
      expect(machine.memory.u8[received + HEADER]).toBe(0x51);
      again.end();
    }),
  );

  it('refuses a ring that the device does not reach', () =>
    withDriver({}, ({ machine }) => {
      const { transport } = machine;
      resetDevice(transport);
      const addresses = { size: 64, words: Uint32Array.of(0x10_0000, 0, 0x10_1000, 0, 0x10_2000, 0) };
      expect(() => transport.enableQueue(0, addresses)).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_RING_UNREACHABLE' }),
      );
      expect(machine.faults.count).toBe(0);
    }));

  it('refuses features like any device, and plays the back-end no bit of its own', () =>
    withNetDevice(program, { offers: OFFERS.with(VIRTIO_NET_F_MAC) }, ({ transport }) => {
      expect(transport.readDeviceFeatures().bits).toBe(OFFERS.with(VIRTIO_NET_F_MAC).bits);
      for (const [features, isTaken] of [
        [OFFERS.without(VIRTIO_F_ACCESS_PLATFORM), false],
        [OFFERS.without(VIRTIO_F_VERSION_1), false],
        [OFFERS.with(VIRTIO_NET_F_MAC), true],
      ] as const) {
        resetDevice(transport);
        transport.writeStatus(3);
        transport.writeDriverFeatures(features);
        transport.writeStatus(11);
        expect((transport.readStatus() & 8) !== 0).toBe(isTaken);
      }
    }));

  it('takes everything from a back-end that was killed, and waits for nothing', () =>
    withDriver({}, async (driver) => {
      const { machine, container, openMapping } = driver;
      const { sent } = mapBoth(driver);
      const ring = new NetRing(machine, openMapping);
      ring.receive(claim(RECEIVE, PAGE));
      ring.send(claim(SEND, LENGTH));
      expect(ring.arrived()).toBe(LENGTH);
      process.kill(backEnd(), 'SIGKILL');
      const start = performance.now();
      expect(ring.arrived()).toBe('lost');
      expect(container.unmapDma(SEND, PAGE)).toBe(PAGE);
      expect(
        sharedFile()
          .subarray(sent, sent + PAGE)
          .every((byte) => byte === 0),
      ).toBe(true);
      expect(container.mapDma(sent, SEND, PAGE, READ)).toBe(0);
      expect(() => machine.transport.readStatus()).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_LOST' }));
      expect(performance.now() - start).toBeLessThan(2000);
      for (const queue of ring.queues) queue.dispose();
    }));
});
