import { RangeAllocator } from '@virtio-platform/core/memory';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const BASE = 4096;
const LENGTH = 1 << 16;

interface Model {
  readonly taken: Map<number, number>;
}

class Allocate implements fc.Command<Model, RangeAllocator> {
  readonly length: number;
  readonly alignment: number;

  constructor(length: number, alignment: number) {
    this.length = length;
    this.alignment = alignment;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: RangeAllocator): void {
    const address = real.tryAllocate(this.length, this.alignment);
    if (address < 0) {
      expect(hasRoom(model, this.length, this.alignment)).toBe(false);
      return;
    }
    expect(address % this.alignment).toBe(0);
    expect(address).toBeGreaterThanOrEqual(BASE);
    expect(address + this.length).toBeLessThanOrEqual(BASE + LENGTH);
    for (const [start, length] of model.taken)
      expect(address + this.length <= start || start + length <= address).toBe(true);
    model.taken.set(address, this.length);
    expect(real.taken).toBe([...model.taken.values()].reduce((sum, length) => sum + length, 0));
  }

  toString(): string {
    return `allocate(${this.length}, ${this.alignment})`;
  }
}

class Free implements fc.Command<Model, RangeAllocator> {
  readonly which: number;

  constructor(which: number) {
    this.which = which;
  }

  check(model: Model): boolean {
    return model.taken.size > 0;
  }

  run(model: Model, real: RangeAllocator): void {
    const address = [...model.taken.keys()][this.which % model.taken.size]!;
    real.free(address);
    model.taken.delete(address);
    expect(() => real.free(address)).toThrow(RangeError);
  }

  toString(): string {
    return `free(${this.which})`;
  }
}

/** Whether an aligned run is free, found the slow way: between the ends of what is taken. */
function hasRoom({ taken }: Model, length: number, alignment: number): boolean {
  const starts = [BASE, ...[...taken].map(([start, size]) => start + size)];
  const edges = [...taken.keys(), BASE + LENGTH];
  return starts.some((start) => {
    const address = Math.ceil(start / alignment) * alignment;
    const end = Math.min(...edges.filter((edge) => edge >= start));
    return address + length <= end;
  });
}

describe('RangeAllocator', () => {
  it('hands out aligned ranges that never overlap, finds room where there is any, and merges all back', () => {
    const commands = fc.commands(
      [
        fc
          .tuple(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 0, max: 13 }))
          .map(([length, shift]) => new Allocate(length, 2 ** shift)),
        fc.nat(100).map((which) => new Free(which)),
      ],
      { maxCommands: 60 },
    );
    fc.assert(
      fc.property(commands, (list) => {
        const model: Model = { taken: new Map() };
        const real = new RangeAllocator('test', BASE, LENGTH);
        fc.modelRun(() => ({ model, real }), list);
        for (const address of model.taken.keys()) real.free(address);
        expect(real.taken).toBe(0);
        expect(real.tryAllocate(LENGTH, 1)).toBe(BASE);
      }),
      { numRuns: 300 },
    );
  });

  it('knows the largest free run', () => {
    const allocator = new RangeAllocator('memory', BASE, LENGTH);
    expect(allocator.largestFree).toBe(LENGTH);
    const [first] = [allocator.allocate(4096, 1), allocator.allocate(4096, 1)];
    expect(allocator.largestFree).toBe(LENGTH - 8192);
    allocator.free(first);
    expect(allocator.largestFree).toBe(LENGTH - 8192);
    allocator.allocate(LENGTH - 8192, 1);
    expect(allocator.largestFree).toBe(4096);
    allocator.allocate(4096, 1);
    expect(allocator.largestFree).toBe(0);
  });

  it('throws ERR_DMA_EXHAUSTED with the largest free run when there is no room', () => {
    const allocator = new RangeAllocator('window', 0, 100);
    allocator.allocate(60, 1);
    expect(() => allocator.allocate(41, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED', message: expect.stringMatching(/window.*41.*40/) }),
    );
  });

  it('has nothing to hand out when it is empty', () => {
    expect(new RangeAllocator('nothing', 0, 0).tryAllocate(1, 1)).toBe(-1);
  });

  it.each([0, -1, 1.5, Number.NaN])('throws RangeError for %d bytes', (length) => {
    expect(() => new RangeAllocator('test', 0, 100).tryAllocate(length, 1)).toThrow(RangeError);
  });

  it.each([0, -4, 1.5, Number.NaN])('throws RangeError for an alignment of %d', (alignment) => {
    expect(() => new RangeAllocator('test', 0, 100).tryAllocate(1, alignment)).toThrow(RangeError);
  });

  it('throws RangeError for an address inside a range or never handed out', () => {
    const allocator = new RangeAllocator('test', 0, 100);
    allocator.allocate(10, 1);
    expect(() => allocator.free(1)).toThrow(RangeError);
    expect(() => allocator.free(50)).toThrow(RangeError);
  });
});
