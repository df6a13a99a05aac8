import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AnnouncedDmaMapping } from '../../src/memory/translated-memory.ts';
import { LyingBackEnd } from '../iotlb/lying-back-end.ts';
const PAGE = 4096;
const READ_WRITE = 3;
const ACKNOWLEDGED = 1;

let peer: LyingBackEnd;
let mapping: AnnouncedDmaMapping;
beforeEach(() => {
  peer = new LyingBackEnd();
  // A platform that mapped all of its first pages at their own addresses.
  peer.container.mapDma(0, 0, 8 * PAGE, READ_WRITE);
  mapping = new AnnouncedDmaMapping(new DirectDmaMapping(peer.memory, { path: 'identity', capacity: 4 }), peer.iotlb);
});
afterEach(() => peer.dispose());

describe('AnnouncedDmaMapping', () => {
  it('has the back-end know a buffer before its address is passed on, and does the rest as what it wraps', () => {
    const words = new Uint32Array(2);
    const id = mapping.map(2 * PAGE + 16, PAGE, DmaDirection.ToDevice, words, 0);
    expect([...words]).toEqual([2 * PAGE + 16, 0]);
    expect(peer.translations()).toEqual(['2000+1: page 2 permission 3', '3000+1: page 3 permission 3']);
    expect(mapping.statistics.live).toBe(1);
    mapping.unmap(id, 0);
    expect(mapping.statistics.live).toBe(0);
  });

  it('waits for the back-end once for all buffers, when the queue says so', () => {
    for (const page of [2, 4]) mapping.map(page * PAGE, PAGE, DmaDirection.ToDevice, new Uint32Array(2), 0);
    expect(peer.translations()).toHaveLength(2);
    peer.answer(ACKNOWLEDGED, 0n);
    mapping.syncMap!();
    mapping.syncMap!();
    expect(peer.sent().map(({ request }) => request)).toEqual([ACKNOWLEDGED]);
    expect(peer.connection.isLost).toBe(false);
  });

  it('announces regions as a whole', () => {
    peer.answer(ACKNOWLEDGED, 0n);
    const region = mapping.premap(4 * PAGE, 2 * PAGE, DmaDirection.FromDevice);
    expect(peer.translations()).toEqual(['4000+1: page 4 permission 3', '5000+1: page 5 permission 3']);
    region.release();
  });

  it('announces nothing that could not be mapped', () => {
    expect(mapping.map(peer.memory.size, PAGE, DmaDirection.ToDevice, new Uint32Array(2), 0)).toBeLessThan(0);
    expect(peer.sent()).toEqual([]);
  });

  it('knows where an address leads if what it wraps does', () => {
    expect(mapping.resolve!(3 * PAGE + 5, 0)).toBe(3 * PAGE + 5);
    const silent = new DirectDmaMapping(peer.memory, { path: 'identity', capacity: 1 });
    const blind = Object.create(silent, { resolve: { value: undefined } }) as DirectDmaMapping;
    expect(new AnnouncedDmaMapping(blind, peer.iotlb).resolve).toBeUndefined();
  });
});
