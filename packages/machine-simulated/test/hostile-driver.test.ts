import { VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '@virtio-platform/device-block';
import { acceptFeatures, ringFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DeviceStatus, resetDevice, startDevice, type Transport } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { openVirtqueue, ScatterList, UsedBatch, type QueueLayout, type Virtqueue } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { bootMachine } from './boot-machine.ts';

const HEADER = 0x10_0000;
const DATA = 0x10_1000;
const STATUS = 0x10_2000;
const SECTOR = 512;
/** No status that a device writes. */
const UNTOUCHED = 0x77;

function boot(device: 'same-thread' | 'worker', isLegacy = false): Promise<BootedMachine> {
  const interfaces = { interface: 'transitional', driverInterface: 'legacy' } as const;
  return bootMachine({ device: isLegacy ? interfaces : {}, options: { device } });
}

/** A driver that frames its block requests as it likes. */
class RawBlockDriver {
  readonly transport: Transport;
  readonly queue: Virtqueue;
  readonly machine: BootedMachine;

  /** Brings the device up to where its queue is enabled and it is not started yet. */
  constructor(booted: BootedMachine, layout: QueueLayout) {
    const { transport, memory } = booted;
    this.machine = booted;
    this.transport = transport;
    acceptFeatures(transport, ringFeatures(layout));
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
    this.queue = openVirtqueue(layout, memory, mapping, ringOptions());
    transport.enableQueue(0, this.queue.addresses);
  }

  /** Shows a request for sector 0; `readable` says which of its three parts the device may only read. */
  send(type: number, readable: readonly ('header' | 'data' | 'status')[]): void {
    const { memory } = this.machine;
    memory.u32.set([type, 0, 0, 0], HEADER / 4);
    memory.u8[STATUS] = UNTOUCHED;
    const list = new ScatterList(3);
    // Where the header or the status is not one, what there is adds up to sectors: nothing else is wrong.
    const headerLength = readable.includes('header') ? 16 : SECTOR;
    const dataLength = readable.includes('status') ? SECTOR - 1 : SECTOR;
    for (const [part, address, length] of [
      ['header', HEADER, headerLength],
      ['data', DATA, dataLength],
      ['status', STATUS, 1],
    ] as const) {
      if (readable.includes(part)) list.addReadable(address, length);
      else list.addWritable(address, length);
    }
    expect(this.queue.add(list)).toBeGreaterThanOrEqual(0);
    this.queue.publish();
  }

  /** Kicks the device until something came back, and returns how many bytes it says that it wrote. */
  finish(): number {
    const batch = new UsedBatch(8);
    this.transport.notify(0, 0);
    for (let tries = 0; tries < 100 && this.queue.takeUsed(batch) === 0; tries++) this.transport.wait(20);
    expect(batch.count).toBe(1);
    return batch.written[0]!;
  }

  /** Whether anything comes back. */
  get isAnswered(): boolean {
    this.transport.wait(20);
    return this.queue.takeUsed(new UsedBatch(8)) > 0;
  }
}

describe.each(['same-thread', 'worker'] as const)(
  'a hostile driver of the embedded machine, device in %s',
  (device) => {
    describe.each(['split', 'packed'] as const)('on a %s ring', (layout) => {
      async function start(): Promise<{ driver: RawBlockDriver; memory: BootedMachine['memory'] }> {
        const booted = await boot(device);
        return { driver: new RawBlockDriver(booted, layout), memory: booted.memory };
      }

      it('V14 fails a request whose header is writable, and takes no request from there', async () => {
        const { driver, memory } = await start();
        startDevice(driver.transport);
        memory.u8.fill(0x5a, DATA, DATA + SECTOR);
        driver.send(VIRTIO_BLK_T_IN, []);
        expect(driver.finish()).toBe(0);
        expect([memory.u8[DATA], memory.u8[STATUS]]).toEqual([0x5a, VIRTIO_BLK_S_IOERR]);
      });

      it('V14 does nothing for a request whose status is readable, not even what it asks for', async () => {
        const { driver, memory } = await start();
        startDevice(driver.transport);
        memory.u8.fill(0x5a, DATA, DATA + SECTOR);
        driver.send(VIRTIO_BLK_T_OUT, ['header', 'data', 'status']);
        expect([driver.finish(), memory.u8[STATUS]]).toEqual([0, UNTOUCHED]);
        driver.send(VIRTIO_BLK_T_IN, ['header']);
        expect([driver.finish(), memory.u8[STATUS], memory.u8[DATA]]).toEqual([SECTOR + 1, VIRTIO_BLK_S_OK, 0]);
      });

      it('V31 D43 touches nothing before DRIVER_OK, however often and for whichever queue it is kicked', async () => {
        const { driver, memory } = await start();
        driver.send(VIRTIO_BLK_T_IN, ['header']);
        for (const queue of [0, 1, 7, 0xffff, 0x7fff_ffff, -1]) driver.transport.notify(queue, 0);
        for (let i = 0; i < 200; i++) driver.transport.notify(0, 0);
        expect([driver.isAnswered, memory.u8[STATUS]]).toEqual([false, UNTOUCHED]);
        startDevice(driver.transport);
        expect([driver.finish(), memory.u8[STATUS]]).toEqual([SECTOR + 1, VIRTIO_BLK_S_OK]);
        for (let i = 0; i < 200; i++) driver.transport.notify(0, 0);
        expect(driver.isAnswered).toBe(false);
        expect(driver.transport.readStatus() & DeviceStatus.NeedsReset).toBe(0);
      });

      it('V51 D43 leaves what was available at a reset alone, and notifies about nothing', async () => {
        const { driver, memory } = await start();
        startDevice(driver.transport);
        driver.send(VIRTIO_BLK_T_IN, ['header']);
        resetDevice(driver.transport);
        const before = memory.u8.slice();
        for (let i = 0; i < 20; i++) driver.transport.notify(0, 0);
        expect(driver.isAnswered).toBe(false);
        expect(Buffer.compare(memory.u8, before)).toBe(0);
        expect(driver.queue.reset()).toHaveLength(1);
      });

      it('V52 comes back on the other layout in the same memory', async () => {
        const { driver, memory } = await start();
        startDevice(driver.transport);
        driver.send(VIRTIO_BLK_T_IN, ['header']);
        driver.finish();
        driver.send(VIRTIO_BLK_T_IN, ['header']);
        resetDevice(driver.transport);
        const [at] = driver.queue.addresses.words;
        driver.queue.dispose();
        memory.u8.fill(0xff, at, at! + 0x200);
        const other = new RawBlockDriver(driver.machine, layout === 'split' ? 'packed' : 'split');
        expect(other.queue.addresses.words[0]).toBe(at);
        startDevice(other.transport);
        for (let i = 0; i < 5; i++) {
          other.send(VIRTIO_BLK_T_IN, ['header']);
          expect([other.finish(), memory.u8[STATUS]]).toEqual([SECTOR + 1, VIRTIO_BLK_S_OK]);
        }
      });

      it.each([8, 4])(
        'V30 asks for a reset over a queue that is enabled again, of %d, and touches nothing',
        async (size) => {
          const { driver, memory } = await start();
          startDevice(driver.transport);
          const elsewhere = driver.queue.addresses.words.map((word, i) => (i % 2 === 0 ? word + 0x8000 : word));
          driver.send(VIRTIO_BLK_T_IN, ['header']);
          const before = memory.u8.slice();
          driver.transport.enableQueue(0, { size, words: elsewhere });
          expect(driver.transport.readStatus() & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
          for (let i = 0; i < 5; i++) driver.transport.notify(0, 0);
          expect(driver.isAnswered).toBe(false);
          expect(Buffer.compare(memory.u8, before)).toBe(0);
        },
      );

      it.each([0, 2048, 9999, 65_536])('V29 D44 asks for a reset over a queue of %d entries', async (size) => {
        const { transport } = await boot(device);
        acceptFeatures(transport, ringFeatures(layout));
        transport.enableQueue(0, { size, words: Uint32Array.of(0x1_0000, 0, 0x8_0000, 0, 0x10_0000, 0) });
        expect(transport.readStatus() & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
        acceptFeatures(transport, ringFeatures(layout));
        transport.enableQueue(0, { size: 8, words: Uint32Array.of(0x1_0000, 0, 0x8_0000, 0, 0x10_0000, 0) });
        expect(transport.readStatus() & DeviceStatus.NeedsReset).toBe(0);
      });
    });

    it('M6 refuses a legacy split queue that no 32-bit page frame number can tell of', async () => {
      const { transport } = await boot(device, true);
      for (const words of [
        [0, 0x1000, 128, 0x1000, 0x1000, 0x1000],
        [0x1010, 0, 0x1090, 0, 0x2000, 0],
        [0x1000, 0, 0x1080, 0, 0x1100, 0],
      ]) {
        expect(() => transport.enableQueue(0, { size: 8, words: Uint32Array.from(words) })).toThrow(
          expect.objectContaining({ code: 'ERR_DMA_RANGE' }),
        );
      }
      transport.enableQueue(0, { size: 8, words: Uint32Array.of(0x1000, 0, 0x1080, 0, 0x2000, 0) });
      expect(transport.readStatus() & DeviceStatus.NeedsReset).toBe(0);
    });
  },
);
