import { readFileSync } from 'node:fs';
import { ConvertibleMemory } from '@virtio-platform/host';
import { describe, expect, it } from 'vitest';
import { SharedPages } from '../../src/memory/shared-pages.ts';

const PAGE = 4096;
const PAGES = 64;

/** The pages that are in the file, when page i holds i + 1. */
function inFile(memory: ConvertibleMemory): number[] {
  const file = readFileSync(`/proc/self/fd/${memory.descriptor}`);
  return Array.from({ length: PAGES }, (_, page) => page).filter((page) => {
    const bytes = file.subarray(page * PAGE, (page + 1) * PAGE);
    if (bytes.every((byte) => byte === 0)) return false;
    expect(bytes.every((byte) => byte === page + 1)).toBe(true);
    return true;
  });
}

function numbered(): ConvertibleMemory {
  const memory = ConvertibleMemory.create(PAGES * PAGE);
  const bytes = new Uint8Array(memory.buffer);
  for (let page = 0; page < PAGES; page++) bytes.fill(page + 1, page * PAGE, (page + 1) * PAGE);
  return memory;
}

function range(first: number, count: number): { offset: number; size: number } {
  return { offset: first * PAGE, size: count * PAGE };
}

describe('SharedPages', () => {
  it('shares nothing at first, and a page until its last hold goes', () => {
    const memory = numbered();
    const pages = new SharedPages(memory);
    expect(inFile(memory)).toEqual([]);
    pages.hold(range(2, 4));
    pages.hold(range(1, 2));
    pages.hold(range(5, 3));
    expect(inFile(memory)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    pages.release(range(2, 4));
    expect(inFile(memory)).toEqual([1, 2, 5, 6, 7]);
    pages.release(range(1, 2));
    pages.release(range(5, 3));
    expect(inFile(memory)).toEqual([]);
    memory.dispose();
  });

  it('has exactly the held pages in the file and loses nothing, whatever the order', () => {
    const memory = numbered();
    const pages = new SharedPages(memory);
    const holds: { offset: number; size: number }[] = [];
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fff_ffff;
      return (seed >>> 8) % below;
    };
    for (let step = 0; step < 500; step++) {
      if (holds.length < 12 && random(2) === 0) {
        const first = random(PAGES);
        holds.push(range(first, 1 + random(Math.min(12, PAGES - first))));
        pages.hold(holds.at(-1)!);
      } else if (holds.length > 0) {
        pages.release(holds.splice(random(holds.length), 1)[0]!);
      }
      const held = new Set(
        holds.flatMap(({ offset, size }) => Array.from({ length: size / PAGE }, (_, i) => offset / PAGE + i)),
      );
      expect(inFile(memory)).toEqual([...held].toSorted((a, b) => a - b));
    }
    for (const hold of holds) pages.release(hold);
    const bytes = new Uint8Array(memory.buffer);
    expect(bytes.every((byte, i) => byte === Math.floor(i / PAGE) + 1)).toBe(true);
    memory.dispose();
  });
});
