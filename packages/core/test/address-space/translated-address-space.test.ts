import { ContractError } from '../../src/errors/coded-error.ts';
import {
  copyBytes,
  FaultLog,
  PHYSICAL_ADDRESS_SPACE,
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
} from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const PAGES = 8;

function newMemory(): GuestMemory {
  const memory = new GuestMemory(new ArrayBuffer(PAGES * PAGE_SIZE));
  for (let i = 0; i < memory.size; i++) memory.u8[i] = (i * 31 + (i >> 12)) & 0xff;
  return memory;
}

function physical(memory: GuestMemory): DeviceAddressSpace {
  return PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), PHYSICAL_ADDRESS_SPACE.state);
}

/** One page table over all 64 bits: page number of the device address to guest page, with what is permitted. */
class PageTable implements AddressTranslation {
  generation = 0;
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #pages: ReadonlyMap<bigint, { readonly page: number; readonly permits: string }>;

  constructor(pages: ReadonlyMap<bigint, { readonly page: number; readonly permits: string }>) {
    this.#pages = pages;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const entry = this.#pages.get((BigInt(high) << 20n) | BigInt(low >>> 12));
    const within = low % PAGE_SIZE;
    this.run = PAGE_SIZE - within;
    if (entry?.permits.includes(access) === true) return entry.page * PAGE_SIZE + within;
    this.cause = entry === undefined ? 'unmapped' : `${access}-not-permitted`;
    return -1;
  }
}

function translated(memory: GuestMemory, pages: [bigint, number, string][]): DeviceAddressSpace {
  const table = new Map(pages.map(([number, page, permits]) => [number, { page, permits }]));
  return new TranslatedAddressSpace(memory, new FaultLog(), new PageTable(table));
}

describe('PHYSICAL_ADDRESS_SPACE', () => {
  it('reads and writes guest memory at its own address', () => {
    const memory = newMemory();
    const space = physical(memory);
    const target = new Uint8Array(300);
    expect(space.read(100, 0, target, 0, 300)).toBe(true);
    expect(target).toEqual(memory.u8.slice(100, 400));
    expect(space.write(5000, 0, target, 10, 200)).toBe(true);
    expect(memory.u8.slice(5000, 5200)).toEqual(target.slice(10, 210));
    expect(space.borrow(0, 0, memory.size, 'write')).toBe(0);
    expect(space.faults.count).toBe(0);
  });

  it('does the part of an access inside memory and records the rest as a fault', () => {
    const memory = newMemory();
    const space = physical(memory);
    const target = new Uint8Array(16).fill(0xee);
    expect(space.read(memory.size - 6, 0, target, 0, 16)).toBe(false);
    expect(target).toEqual(Uint8Array.from([...memory.u8.subarray(-6), ...Array<number>(10).fill(0)]));
    expect(space.faults.entries).toEqual([
      { address: BigInt(memory.size), length: 10, access: 'read', cause: 'outside-memory' },
    ]);
    expect(space.write(memory.size - 2, 0, Uint8Array.of(1, 2, 3, 4), 0, 4)).toBe(false);
    expect([...memory.u8.subarray(-2)]).toEqual([1, 2]);
    expect(space.faults.entries[1]).toEqual({
      address: BigInt(memory.size),
      length: 2,
      access: 'write',
      cause: 'outside-memory',
    });
  });

  it.each([
    [0, 1],
    [0xffff_fff0, 0xffff_ffff],
    [0, 0x0800_0000],
  ])('refuses address words %d and %d, far outside', (low, high) => {
    const space = physical(newMemory());
    expect(space.borrow(low, high, 64, 'read')).toBe(-1);
    expect(space.faults.entries).toEqual([
      { address: (BigInt(high) << 32n) + BigInt(low), length: 64, access: 'read', cause: 'outside-memory' },
    ]);
  });
});

describe('TranslatedAddressSpace', () => {
  it('does the part of a run that is in memory, where a page of the table is larger than memory', () => {
    const memory = newMemory();
    const whole = { generation: 0, cause: 'unmapped', run: 2 ** 24, translate: (low: number) => low } as const;
    const space = new TranslatedAddressSpace(memory, new FaultLog(), whole);
    memory.u8.fill(7, memory.size - 4);
    const target = new Uint8Array(8).fill(0xee);
    expect(space.read(memory.size - 4, 0, target, 0, 8)).toBe(false);
    expect([...target]).toEqual([7, 7, 7, 7, 0, 0, 0, 0]);
    expect(space.write(memory.size - 1, 0, Uint8Array.of(1, 2), 0, 2)).toBe(false);
    expect(memory.u8.at(-1)).toBe(1);
    expect(space.borrow(memory.size - 4, 0, 8, 'read')).toBe(-1);
    expect(space.faults.entries.map(({ address, length }) => [address, length])).toEqual([
      [BigInt(memory.size), 4],
      [BigInt(memory.size), 1],
      [BigInt(memory.size), 4],
    ]);
  });

  it('gathers an access from the pages it crosses', () => {
    const memory = newMemory();
    const space = translated(memory, [
      [5n, 3, 'read'],
      [6n, 1, 'read'],
    ]);
    const target = new Uint8Array(8);
    expect(space.read(6 * PAGE_SIZE - 4, 0, target, 0, 8)).toBe(true);
    const expected = [
      ...memory.u8.subarray(4 * PAGE_SIZE - 4, 4 * PAGE_SIZE),
      ...memory.u8.subarray(PAGE_SIZE, PAGE_SIZE + 4),
    ];
    expect([...target]).toEqual(expected);
  });

  it('behaves as a byte-by-byte model, for any access', () => {
    const pages: [bigint, number, string][] = [
      [0n, 2, 'read write'],
      [1n, 3, 'read write'],
      [2n, 5, 'read'],
      [3n, 4, 'write'],
      [5n, 1, 'read write'],
    ];
    const byNumber = new Map(pages.map(([number, page, permits]) => [Number(number), { page, permits }]));
    const access = fc.constantFrom<DeviceAccess>('read', 'write');
    fc.assert(
      fc.property(fc.nat(7 * PAGE_SIZE), fc.integer({ min: 1, max: 2 * PAGE_SIZE }), access, (start, length, kind) => {
        const memory = newMemory();
        const expected = newMemory().u8;
        const space = translated(memory, pages);
        const bytes = Uint8Array.from({ length }, (_, i) => (i * 17 + 1) & 0xff);
        const model = bytes.slice();
        let done = 0;
        for (; done < length; done++) {
          const entry = byNumber.get((start + done) >> 12);
          if (entry?.permits.includes(kind) !== true) break;
          const at = entry.page * PAGE_SIZE + ((start + done) % PAGE_SIZE);
          if (kind === 'read') model[done] = expected[at]!;
          else expected[at] = bytes[done]!;
        }
        if (kind === 'read') model.fill(0, done);
        expect(space[kind](start, 0, bytes, 0, length)).toBe(done === length);
        expect(Buffer.compare(bytes, model)).toBe(0);
        expect(Buffer.compare(memory.u8, expected)).toBe(0);
        const faults = space.faults.entries.map(({ address, length: refused, access }) => ({
          address,
          refused,
          access,
        }));
        const fault = { address: BigInt(start + done), refused: length - done, access: kind };
        expect(faults).toEqual(done === length ? [] : [fault]);
      }),
    );
  });

  it('records the cause and the direction', () => {
    const space = translated(newMemory(), [
      [1n, 1, 'read'],
      [2n, 2, 'write'],
    ]);
    space.write(PAGE_SIZE, 0, new Uint8Array(1), 0, 1);
    space.read(2 * PAGE_SIZE, 0, new Uint8Array(1), 0, 1);
    space.read(0, 0, new Uint8Array(1), 0, 1);
    expect(space.faults.entries.map(({ access, cause }) => [access, cause])).toEqual([
      ['write', 'write-not-permitted'],
      ['read', 'read-not-permitted'],
      ['read', 'unmapped'],
    ]);
  });

  it('carries an access over a multiple of 2^32', () => {
    const memory = newMemory();
    const space = translated(memory, [
      [0xf_ffffn, 1, 'read'],
      [0x10_0000n, 2, 'read'],
    ]);
    const target = new Uint8Array(2);
    expect(space.read(0xffff_ffff, 0, target, 0, 2)).toBe(true);
    expect([...target]).toEqual([memory.u8[2 * PAGE_SIZE - 1], memory.u8[2 * PAGE_SIZE]]);
  });

  it('goes on at address 0 behind 2^64, and reports a fault there by the address it has', () => {
    const space = translated(newMemory(), [[(1n << 52n) - 1n, 1, 'read']]);
    expect(space.read(0xffff_fff8, 0xffff_ffff, new Uint8Array(16), 0, 16)).toBe(false);
    expect(space.faults.entries).toEqual([{ address: 0n, length: 8, access: 'read', cause: 'unmapped' }]);
  });

  it('lends a range only where it is one run of memory', () => {
    const space = translated(newMemory(), [
      [0n, 2, 'read'],
      [1n, 3, 'read'],
      [2n, 6, 'read'],
    ]);
    expect(space.borrow(16, 0, 2 * PAGE_SIZE - 16, 'read')).toBe(2 * PAGE_SIZE + 16);
    expect(space.borrow(PAGE_SIZE, 0, PAGE_SIZE + 1, 'read')).toBe(-1);
    expect(space.faults.entries).toEqual([{ address: 2n * 4096n, length: 1, access: 'read', cause: 'not-contiguous' }]);
    expect(space.borrow(0, 0, 16, 'write')).toBe(-1);
    expect(space.faults.entries[1]?.cause).toBe('write-not-permitted');
  });

  it('does not touch what a translation names outside of memory', () => {
    const space = translated(newMemory(), [[0n, PAGES, 'read write']]);
    expect(space.write(0, 0, new Uint8Array(4), 0, 4)).toBe(false);
    expect(space.faults.entries).toEqual([{ address: 0n, length: 4, access: 'write', cause: 'outside-memory' }]);
  });
});

describe('FaultLog', () => {
  it('keeps the first faults, counts all, and tells a listener of each', () => {
    let heard = 0;
    const log = new FaultLog(() => heard++);
    for (let i = 0; i < 1000; i++) log.record({ address: BigInt(i), length: 1, access: 'read', cause: 'unmapped' });
    expect(log.entries).toHaveLength(FaultLog.LIMIT);
    expect(log.entries.at(-1)?.address).toBe(BigInt(FaultLog.LIMIT - 1));
    expect([log.count, heard]).toEqual([1000, 1000]);
  });
});

describe('TranslatedAddressSpace over a translation with a bug', () => {
  it('throws rather than loop where a run has no bytes', () => {
    const memory = newMemory();
    const stuck: AddressTranslation = { generation: 0, run: 0, cause: 'unmapped', translate: () => 0 };
    const space = new TranslatedAddressSpace(memory, new FaultLog(), stuck);
    expect(() => space.read(0, 0, new Uint8Array(8), 0, 8)).toThrow(ContractError);
    expect(() => space.borrow(0, 0, 8, 'read')).toThrow(ContractError);
  });
});

describe('copyBytes', () => {
  it('copies the bytes that are asked for, of any number, from and to any place', () => {
    const source = Uint8Array.from({ length: 400 }, (_, i) => (i * 7 + 1) & 0xff);
    for (let length = 0; length <= 200; length++) {
      const [at, from] = [length % 5, length % 7];
      const target = new Uint8Array(400).fill(0xee);
      copyBytes(target, at, source, from, length);
      const expected = new Uint8Array(400).fill(0xee);
      expected.set(source.subarray(from, from + length), at);
      expect(target).toEqual(expected);
    }
  });
});
