import type { DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { BalloonDevice, type BalloonSettings } from '@virtio-platform/device-balloon';
import { writeChain } from '@virtio-platform/device-kit';
import { describe, expect, it } from 'vitest';
import { BalloonLoop } from './balloon-loop.ts';

const ZEROS = new Uint8Array(4096);

type Handle = (device: BrokenDevice, queue: number, chain: DescriptorChain, space: DeviceAddressSpace) => void;

/** A device half that does something else after it handled a buffer. */
class BrokenDevice extends BalloonDevice {
  readonly #handled: Handle;
  /** Pages that left the balloon. */
  readonly left: number[] = [];
  count = 0;

  constructor(settings: BalloonSettings, order: 'little' | 'big', handled: Handle) {
    super(settings, order);
    this.#handled = handled;
  }

  override process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    const written = super.process(queue, chain, space, queues);
    this.count++;
    this.#handled(this, queue, chain, space);
    return written;
  }
}

/** A device half that keeps another size of the balloon than it is told. */
class ForgetfulDevice extends BalloonDevice {
  override writeConfig(offset: number, source: Uint8Array): void {
    super.writeConfig(offset, source);
    this.config[4]! ^= 1;
  }
}

/** The page numbers of a request. */
function numbers(chain: DescriptorChain, space: DeviceAddressSpace): Uint32Array {
  const bytes = new Uint8Array(chain.readableBytes);
  space.read(chain.low[0]!, chain.high[0]!, bytes, 0, bytes.length);
  return new Uint32Array(bytes.buffer);
}

function zero(page: number, space: DeviceAddressSpace): void {
  if (space.memory.contains(page * 4096, 4096)) space.write(page * 4096, 0, ZEROS, 0, 4096);
}

/** What is wrong with a device, and what the workload says of it. */
const BROKEN: readonly (readonly [what: string, handle: Handle, detail: RegExp])[] = [
  [
    'takes the page behind the one that it was given',
    (_device, queue, chain, space) => {
      if (queue === 0) for (const page of numbers(chain, space)) zero(page + 1, space);
    },
    /the page is not in the balloon/,
  ],
  [
    'counts pages of 8 KiB',
    (_device, queue, chain, space) => {
      if (queue === 0) for (const page of numbers(chain, space)) zero(page * 2, space);
    },
    /the page is not in the balloon/,
  ],
  [
    'takes a page again after it gave it back',
    (device, queue, chain, space) => {
      if (queue === 1) device.left.push(...numbers(chain, space));
      else if (device.count % 8 === 0) for (const page of device.left.splice(0, 4)) zero(page, space);
    },
    /the page is not in the balloon/,
  ],
  [
    'takes a page of the guest now and then',
    (device, _queue, _chain, space) => {
      if (device.count % 16 === 0) for (let page = 60; page < 500; page += 7) zero(page, space);
    },
    /the page is not in the balloon/,
  ],
  [
    'zeroes reported pages although they are poisoned',
    (_device, queue, chain, space) => {
      if (queue === 4) writeChain(chain, space, chain.writableBytes - 4096, ZEROS, 0, 4096);
    },
    /the poison is gone/,
  ],
  [
    'changes one byte of a reported page',
    (_device, queue, chain, space) => {
      if (queue === 4) writeChain(chain, space, 4095, ZEROS, 0, 1);
    },
    /the poison is gone/,
  ],
];

describe('the workload mixed', () => {
  const settings = { targets: ['1MiB', '128KiB', '2MiB', '0B'], hints: true };

  it('verifies the device half of the package', async () => {
    const loop = new BalloonLoop({ settings });
    const done = await loop.work({}, 400);
    expect([done.requests, done.mismatches.counts, loop.rings.reported]).toEqual([400, {}, []]);
    expect(loop.device.hints.completed).toBeGreaterThan(1);
    loop.end();
  });

  it.each(BROKEN)('finds a device that %s', async (_what, handle, detail) => {
    const loop = new BalloonLoop({ settings, device: (own, order) => new BrokenDevice(own, order, handle) });
    const { mismatches } = await loop.work({}, 400);
    expect(mismatches.counts.data).toBeGreaterThan(0);
    expect(mismatches.first[0]?.detail).toMatch(detail);
    loop.end();
  });

  it('finds a device that says another size of the balloon than it was told', async () => {
    const loop = new BalloonLoop({ settings, device: (own, order) => new ForgetfulDevice(own, order) });
    const { mismatches } = await loop.work({}, 100);
    expect(mismatches.first[0]?.detail).toMatch(/^the device says \d+ pages, and was told \d+$/);
    loop.end();
  });

  it('ends on a device that never gives back a request', async () => {
    const loop = new BalloonLoop({ settings });
    loop.rings.serve = () => {};
    await expect(loop.work({ batch: 256 }, 10)).rejects.toThrow('no request completed');
    loop.end();
  });
});
