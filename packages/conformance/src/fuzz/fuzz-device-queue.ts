import assert from 'node:assert/strict';
import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DescriptorChain, openDeviceQueue, type DeviceQueue, type QueueLayout } from '@virtio-platform/core/queue';
import { Random } from '@virtio-platform/device-kit';
const MEMORY = 0x1_0000;
const DESCRIPTORS = 0x1000;
const DRIVER = 0x2000;
const DEVICE = 0x3000;
const TABLES = 0x4000;
const BUFFERS = 0x8000;

/** What became of one execution: the code by which the queue broke, or `undefined`. */
export type FuzzOutcome = string | undefined;

/**
 * Structure-aware fuzzing of a device's end: a driver's part of the ring is made up from the seed, mostly plausible and
 * wrong in a few places, the device takes what it finds, and the driver goes on scribbling meanwhile. Throws where the
 * device's end does something that it must not: hand out a chain that breaks the rules, have more in flight than the
 * queue, throw, or go on after it broke. One execution each call; the memory is reused.
 */
export class DeviceQueueFuzzer {
  readonly #memory = new GuestMemory(new SharedArrayBuffer(MEMORY));

  run(seed: number): FuzzOutcome {
    const random = new Random(seed);
    const layout = random.pick<QueueLayout>(['split', 'packed']);
    const size = random.pick(layout === 'split' ? [1, 2, 4, 8] : [1, 2, 3, 5, 8]);
    const space = PHYSICAL_ADDRESS_SPACE.open(this.#memory, new FaultLog(), undefined);
    const inOrder = random.chance(25);
    const queue = openDeviceQueue(layout, space, {
      addresses: { size, words: Uint32Array.of(DESCRIPTORS, 0, DRIVER, 0, DEVICE, 0) },
      byteOrder: layout === 'split' && random.chance(10) ? 'big' : 'little',
      eventIdx: random.chance(50),
      indirect: random.chance(80),
      inOrder,
    });
    this.#memory.u8.fill(0, DESCRIPTORS, TABLES + 0x1000);
    const inFlight: number[] = [];
    const chain = new DescriptorChain(queue.longestChain);
    for (let round = 0; round < 4; round++) {
      this.#scribble(random, layout, size);
      for (let i = 0; i <= size; i++) if (!this.#pop(queue, chain, space, inFlight)) break;
      while (inFlight.length > 0 && random.chance(70)) {
        const [head] = inFlight.splice(inOrder ? 0 : random.below(inFlight.length), 1);
        queue.push(head!, random.below(64));
      }
      queue.flush();
      queue.enableNotifications();
    }
    return queue.broken?.code;
  }

  #pop(queue: DeviceQueue, chain: DescriptorChain, space: DeviceAddressSpace, inFlight: number[]): boolean {
    const wasBroken = queue.broken !== undefined;
    const isPopped = queue.pop(chain);
    if (!isPopped) return false;
    assert.ok(!wasBroken, 'a broken queue gives nothing');
    assert.ok(chain.head < queue.size && !inFlight.includes(chain.head), `head ${chain.head}`);
    assert.ok(
      chain.count >= 1 && chain.count <= queue.longestChain && chain.readable <= chain.count,
      `${chain.count} segments`,
    );
    const bytes = new Uint8Array(64);
    let total = 0;
    for (let i = 0; i < chain.count; i++) {
      const length = chain.length[i]!;
      assert.ok(length > 0, 'no empty segment');
      total += length;
      if (i < chain.readable) space.read(chain.low[i]!, chain.high[i]!, bytes, 0, Math.min(64, length));
    }
    assert.equal(total, chain.readableBytes + chain.writableBytes);
    assert.ok(total <= 2 ** 32, `${total} bytes`);
    inFlight.push(chain.head);
    assert.equal(queue.inFlight, inFlight.length);
    return true;
  }

  /** Writes a driver's part: descriptors, tables, and what makes them available. */
  #scribble(random: Random, layout: QueueLayout, size: number): void {
    const { u16, u32 } = this.#memory;
    for (let i = 0; i < size; i++) this.#writeDescriptor(random, layout, DESCRIPTORS + i * 16, size);
    for (let i = 0; i < 16; i++) this.#writeDescriptor(random, layout, TABLES + i * 16, size);
    if (layout === 'packed') {
      u32[DRIVER / 4] = random.chance(50) ? random.next() : random.below(3) << 16;
      return;
    }
    for (let i = 0; i < size; i++) u16[DRIVER / 2 + 2 + i] = random.chance(95) ? random.below(size) : random.next();
    u16[DRIVER / 2] = random.below(3);
    const idx = u16[DRIVER / 2 + 1]! + (random.chance(95) ? random.below(size + 1) : random.next());
    u16[DRIVER / 2 + 1] = idx;
    u16[DRIVER / 2 + 2 + size] = random.next();
  }

  #writeDescriptor(random: Random, layout: QueueLayout, at: number, size: number): void {
    const { u16, u32 } = this.#memory;
    const isTable = random.chance(15);
    const word = at / 4;
    u32[word] = random.chance(95)
      ? isTable
        ? TABLES + 16 * random.below(8)
        : BUFFERS + random.below(0x4000)
      : random.next();
    u32[word + 1] = random.chance(97) ? 0 : random.pick([1, 0x0800_0000, 0xffff_ffff]);
    u32[word + 2] = random.chance(90)
      ? isTable
        ? 16 * random.below(size + 2)
        : 1 + random.below(512)
      : random.pick([0, 1, 0xffff_ffff, 0x8000_0000, random.next()]);
    const flags = (isTable ? 4 : 0) | (random.chance(60) ? 0 : 1) | (random.chance(50) ? 0 : 2);
    if (layout === 'split') {
      u16[at / 2 + 6] = random.chance(95) ? flags : random.next();
      u16[at / 2 + 7] = random.chance(95) ? random.below(size) : random.next();
    } else {
      u16[at / 2 + 6] = random.chance(95) ? random.below(size) : random.next();
      u16[at / 2 + 7] = random.chance(95)
        ? flags | random.pick([0x80, 0x80, 0x8000, 0x8000, 0x8080, 0])
        : random.next();
    }
  }
}
