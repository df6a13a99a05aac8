import { ringOptions } from '@virtio-platform/conformance/testing';
import { DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { ScatterList, SplitVirtqueue } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { HostileRing, SEGMENT_BYTES } from './hostile-ring.ts';

describe('SplitVirtqueue over a mapping that fails', () => {
  it.each([
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 0],
    [0, 4],
    [3, 4],
  ])('M1 is as before when segment %d of 4 cannot be mapped, with indirect tables of %d', (failing, indirect) => {
    const ring = new HostileRing({ indirect });
    const kept = ring.send();
    const before = [ring.mapping.statistics.live, ring.queue.outstanding, ring.ring.availIdx()];
    for (let tries = 0; tries < 20; tries++) {
      ring.mapping.failMapsAfter(failing);
      expect(ring.add(2, 2)).toBe(DMA_NO_SPACE);
    }
    expect([ring.mapping.statistics.live, ring.queue.outstanding, ring.ring.availIdx()]).toEqual(before);
    expect(ring.queue.publish()).toBe(false);
    ring.mapping.failMapsAfter(Infinity);
    const id = ring.send(2, 2);
    ring.answer([kept, 0], [id, 2 * SEGMENT_BYTES]);
    expect(ring.take()).toEqual([
      [kept, 0],
      [id, 2 * SEGMENT_BYTES],
    ]);
    ring.queue.dispose();
    expect(ring.mapping.statistics.live).toBe(0);
  });

  it('M1 still has all its descriptors after failures at every segment', () => {
    const ring = new HostileRing({ size: 4 });
    for (let failing = 0; failing < 4; failing++) {
      ring.mapping.failMapsAfter(failing);
      expect(ring.add(4, 0)).toBe(DMA_NO_SPACE);
    }
    ring.mapping.failMapsAfter(Infinity);
    const id = ring.send(4, 0);
    expect(id).toBeGreaterThanOrEqual(0);
    const heads = [id];
    for (let i = 0; i < 3; i++) heads.push(ring.descriptors.next(heads.at(-1)!));
    expect(heads.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  });

  it('M2 asks the caller to try again when the mapping is full, and goes on after a completion', () => {
    const ring = new HostileRing({ size: 8 });
    const id = ring.send();
    ring.mapping.failMapsAfter(0);
    expect(ring.send()).toBe(DMA_NO_SPACE);
    expect(ring.queue.broken).toBeUndefined();
    ring.answer([id, 0]);
    expect(ring.take()).toEqual([[id, 0]]);
    ring.mapping.failMapsAfter(Infinity);
    expect(ring.send()).toBeGreaterThanOrEqual(0);
  });

  it('passes the reason on when a buffer can never be reached, and unwinds', () => {
    const ring = new HostileRing();
    const live = ring.mapping.statistics.live;
    const list = new ScatterList(2);
    list.addReadable(ring.buffer, 16);
    list.addWritable(ring.memory.size - 8, 16);
    expect(ring.queue.add(list)).toBe(DMA_UNREACHABLE);
    expect(ring.mapping.statistics.live).toBe(live);
  });

  it('M5 takes device address 0 for an address like any other', () => {
    const ring = new HostileRing({ firstAddress: 0 });
    const { words } = ring.queue.addresses;
    expect([words[0], words[1]]).toEqual([0, 0]);
    const id = ring.send();
    ring.deviceWrites(ring.descriptors.next(id), 0xaa, 10);
    ring.answer([id, 10]);
    expect(ring.take()).toEqual([[id, 10]]);
    expect(ring.received()[9]).toBe(0xaa);
  });

  it('M8 gives a mapping back once, and the mapping refuses a second time', () => {
    const ring = new HostileRing();
    const id = ring.mapping.map(ring.buffer, 64, DmaDirection.ToDevice, new Uint32Array(2), 0);
    ring.mapping.unmap(id, 0);
    expect(() => ring.mapping.unmap(id, 0)).toThrow(RangeError);
    const head = ring.send();
    const { unmaps } = ring.mapping.statistics;
    ring.answer([head, 0]);
    ring.take();
    ring.queue.reset();
    expect(ring.mapping.statistics.unmaps).toBe(unmaps + 2);
  });

  it('gives the ring back when there is no memory for the indirect tables', () => {
    const { memory, mapping } = new HostileRing();
    const before = [mapping.statistics.live, memory.allocated];
    expect(() => new SplitVirtqueue(memory, mapping, ringOptions({ index: 1, size: 1024, indirect: 512 }))).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
    expect([mapping.statistics.live, memory.allocated]).toEqual(before);
  });
});
