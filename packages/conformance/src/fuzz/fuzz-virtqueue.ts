import assert from 'node:assert/strict';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type QueueLayout, type Virtqueue } from '@virtio-platform/core/queue';
import type { FuzzOutcome } from './fuzz-device-queue.ts';
import { Random } from '@virtio-platform/device-kit';

const MEMORY = 0x1_0000;
const BUFFER = 0xc000;
const SEGMENT = 16;

/**
 * Structure-aware fuzzing of a driver's end: requests are added from the seed, and a device writes over the whole ring,
 * mostly plausible used entries and wrong in a few places. Throws where the driver's end does something that it must
 * not: bring back what is not outstanding, more bytes than there is room for, a mapping that leaks, throw, or go on
 * after it broke.
 */
export class VirtqueueFuzzer {
  readonly #memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  readonly #list = new ScatterList(8);
  readonly #batch = new UsedBatch(4);

  run(seed: number): FuzzOutcome {
    const random = new Random(seed);
    const layout = random.pick<QueueLayout>(['split', 'packed']);
    const size = random.pick(layout === 'split' ? [1, 2, 4, 8] : [1, 2, 3, 5, 8]);
    const mapping = new DirectDmaMapping(this.#memory, { path: 'physical', capacity: 64 });
    const queue = openVirtqueue(layout, this.#memory, mapping, {
      index: 0,
      size,
      indirect: random.pick([0, 4]),
      eventIdx: random.chance(50),
      inOrder: random.chance(25),
      legacyLayout: false,
      byteOrder: layout === 'split' && random.chance(10) ? 'big' : 'little',
      usedLength: random.pick(['strict', 'strict', 'clamp', 'ignore'] as const),
    });
    const room = new Map<number, number>();
    for (let round = 0; round < 6; round++) {
      for (let i = random.below(size + 1); i > 0; i--) this.#add(random, queue, size, room);
      queue.publish();
      this.#scribble(random, layout, queue, room);
      for (let i = 0; i <= size; i++) if (this.#take(queue, room) === 0) break;
      const asked = random.below(3);
      if (asked === 0) queue.enableNotifications();
      else if (asked === 1) queue.enableNotificationsDelayed();
      else queue.disableNotifications();
    }
    const code = queue.broken?.code;
    assert.deepEqual(new Set(queue.reset()), new Set(room.keys()), 'reset returns what is outstanding');
    queue.dispose();
    assert.equal(mapping.statistics.live, 0, 'nothing stays mapped');
    assert.equal(this.#memory.allocated, 0, 'nothing stays allocated');
    return code;
  }

  #add(random: Random, queue: Virtqueue, size: number, room: Map<number, number>): void {
    const segments = 1 + random.below(Math.min(4, size));
    const readable = random.below(segments + 1);
    this.#list.clear();
    for (let i = 0; i < segments; i++) {
      const address = BUFFER + random.below(64) * SEGMENT;
      if (i < readable) this.#list.addReadable(address, SEGMENT);
      else this.#list.addWritable(address, SEGMENT);
    }
    const id = queue.add(this.#list);
    if (id < 0) return;
    assert.ok(!room.has(id), `id ${id} is given twice`);
    room.set(id, (segments - readable) * SEGMENT);
  }

  #take(queue: Virtqueue, room: Map<number, number>): number {
    const wasBroken = queue.broken !== undefined;
    const count = queue.takeUsed(this.#batch);
    assert.ok(count === 0 || !wasBroken, 'a broken queue gives nothing');
    for (let i = 0; i < count; i++) {
      const id = this.#batch.ids[i]!;
      const writable = room.get(id);
      assert.ok(writable !== undefined, `id ${id} is not outstanding`);
      assert.ok(this.#batch.written[i]! <= writable, `${this.#batch.written[i]} bytes in ${writable}`);
      room.delete(id);
    }
    assert.equal(queue.outstanding, room.size);
    return count;
  }

  /** Writes used entries, and anything at all over what belongs to the driver. */
  #scribble(random: Random, layout: QueueLayout, queue: Virtqueue, room: ReadonlyMap<number, number>): void {
    const { u16, u32, u8 } = this.#memory;
    const { words, size } = queue.addresses;
    const [descriptors, driver, device] = [words[0]!, words[2]!, words[4]!];
    const ids = [...room.keys()];
    const someId = (): number => (ids.length > 0 && random.chance(90) ? random.pick(ids) : random.next());
    const someLength = (): number => (random.chance(90) ? random.below(SEGMENT * 3) : random.next());
    if (layout === 'packed') {
      for (let slot = 0; slot < size; slot++) {
        if (random.chance(50)) continue;
        const at = descriptors + slot * 16;
        u32[at / 4 + 2] = someLength();
        u16[at / 2 + 6] = someId();
        u16[at / 2 + 7] = random.pick([0x8080, 0x8082, 0x8080, 0, 2, random.next()]);
      }
      u32[device / 4] = random.next();
      return;
    }
    for (let slot = 0; slot < size; slot++) {
      u32[device / 4 + 1 + slot * 2] = someId();
      u32[device / 4 + 2 + slot * 2] = someLength();
    }
    u16[device / 2 + 1] = u16[device / 2 + 1]! + (random.chance(90) ? random.below(ids.length + 1) : random.next());
    u16[device / 2] = random.next();
    if (random.chance(30)) for (let i = descriptors; i < driver + 6 + 2 * size; i++) u8[i] = random.next();
  }
}
