import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { simulateSev } from '@virtio-platform/platform-sev';
import { bootEncryptedGuest, OPTIONS, type EncryptedGuest } from '../encrypted-guest.ts';

const SECRET = new TextEncoder().encode('what the guest keeps to itself!!');
/** A private page between two shared ones. */
const BEFORE = 16 * PAGE_SIZE;
const PRIVATE = 17 * PAGE_SIZE;
const AFTER = 18 * PAGE_SIZE;

function bootWithPrivatePage(): EncryptedGuest {
  const guest = bootEncryptedGuest();
  for (const page of [BEFORE, AFTER]) {
    guest.conversion.setShared(page, PAGE_SIZE);
    guest.memory.u8.fill(0x11, page, page + PAGE_SIZE);
  }
  guest.memory.u8.fill(0x22, PRIVATE, AFTER);
  guest.memory.u8.set(SECRET, PRIVATE);
  return guest;
}

/** Addresses of the bytes that differ. */
function changedBytes(before: Uint8Array, after: Uint8Array): number[] {
  const changed: number[] = [];
  for (let i = 0; i < before.length; i++) if (before[i] !== after[i]) changed.push(i);
  return changed;
}

describe('SevAddressSpace', () => {
  it('reads and writes shared pages without a fault', () => {
    const { memory, space, faults } = bootWithPrivatePage();
    const data = new Uint8Array(100);
    expect(space.write(BEFORE + 8, 0, SECRET, 0, SECRET.length)).toBe(true);
    expect(space.read(BEFORE + 8, 0, data, 3, SECRET.length)).toBe(true);
    expect(data.slice(3, 3 + SECRET.length)).toEqual(SECRET);
    expect(memory.u8.slice(BEFORE + 8, BEFORE + 8 + SECRET.length)).toEqual(SECRET);
    expect(faults.count).toBe(0);
  });

  it('gives a device ciphertext of a private page, and records it', () => {
    const { memory, space, faults } = bootWithPrivatePage();
    const before = Buffer.from(memory.u8);
    const seen = new Uint8Array(SECRET.length);
    expect(space.read(PRIVATE, 0, seen, 0, seen.length)).toBe(false);
    expect(seen).not.toEqual(SECRET);
    expect(seen).not.toEqual(new Uint8Array(seen.length));
    expect(faults.entries).toEqual([
      { address: BigInt(PRIVATE), length: SECRET.length, access: 'read', cause: 'private-page' },
    ]);
    expect(changedBytes(before, memory.u8)).toEqual([]);
  });

  it('gives the same ciphertext that the guest sees after sharing the page', () => {
    const { memory, conversion, space } = bootWithPrivatePage();
    const seen = new Uint8Array(300);
    space.read(PRIVATE + 5, 0, seen, 0, seen.length);
    conversion.setShared(PRIVATE, PAGE_SIZE);
    expect(seen).toEqual(memory.u8.slice(PRIVATE + 5, PRIVATE + 305));
  });

  it('records one fault for a private run and delivers the shared parts around it', () => {
    const { space, faults } = bootWithPrivatePage();
    const seen = new Uint8Array(PAGE_SIZE + 20);
    expect(space.read(PRIVATE - 10, 0, seen, 0, seen.length)).toBe(false);
    expect([...seen.slice(0, 10), ...seen.slice(-10)]).toEqual(Array.from({ length: 20 }, () => 0x11));
    expect(faults.entries).toEqual([
      { address: BigInt(PRIVATE), length: PAGE_SIZE, access: 'read', cause: 'private-page' },
    ]);
  });

  it('corrupts exactly the blocks that a device writes in a private page', () => {
    const { memory, space, faults } = bootWithPrivatePage();
    const before = Buffer.from(memory.u8);
    expect(space.write(PRIVATE + 20, 0, SECRET, 0, 30)).toBe(false);
    const changed = changedBytes(before, memory.u8);
    const blocks = new Set(changed.map((address) => Math.floor((address - PRIVATE) / 16)));
    expect([...blocks]).toEqual([1, 2, 3]);
    expect(memory.u8.slice(PRIVATE + 20, PRIVATE + 50)).not.toEqual(SECRET.slice(0, 30));
    expect(faults.entries).toEqual([
      { address: BigInt(PRIVATE + 20), length: 30, access: 'write', cause: 'private-page' },
    ]);
  });

  it('lets a device read back the raw bytes it wrote to a private page', () => {
    const { space } = bootWithPrivatePage();
    const seen = new Uint8Array(30);
    space.write(PRIVATE + 20, 0, SECRET, 0, 30);
    space.read(PRIVATE + 20, 0, seen, 0, 30);
    expect(seen).toEqual(SECRET.slice(0, 30));
  });

  it('does not lend a range that touches a private page', () => {
    const { space, faults } = bootWithPrivatePage();
    expect(space.borrow(BEFORE + 64, 0, 128, 'write')).toBe(BEFORE + 64);
    expect(space.borrow(BEFORE + 64, 0, PAGE_SIZE, 'write')).toBe(-1);
    expect(faults.entries).toEqual([{ address: BigInt(PRIVATE), length: 64, access: 'write', cause: 'private-page' }]);
  });

  it.each([
    ['just behind memory', 2 ** 20, 0],
    ['in the highest addresses', 0xffff_f000, 0xffff_ffff],
    ['with the encryption bit of the page tables set', BEFORE, 1 << 19],
  ])('finds no memory %s', (_where, low, high) => {
    const { memory, space, faults } = bootWithPrivatePage();
    const before = Buffer.from(memory.u8);
    const seen = new Uint8Array(16).fill(1);
    expect(space.read(low, high, seen, 0, 16)).toBe(false);
    expect(space.write(low, high, SECRET, 0, 16)).toBe(false);
    expect(space.borrow(low, high, 16, 'read')).toBe(-1);
    expect(seen).toEqual(new Uint8Array(16));
    expect(faults.entries.map((fault) => fault.cause)).toEqual(['outside-memory', 'outside-memory', 'outside-memory']);
    expect(changedBytes(before, memory.u8)).toEqual([]);
  });

  it('zeroes what lies behind the end of memory and delivers what lies before it', () => {
    const { memory, conversion, space, faults } = bootWithPrivatePage();
    const last = memory.size - PAGE_SIZE;
    conversion.setShared(last, PAGE_SIZE);
    memory.u8.fill(0x33, last, memory.size);
    const seen = new Uint8Array(8).fill(9);
    expect(space.read(memory.size - 4, 0, seen, 0, 8)).toBe(false);
    expect([...seen]).toEqual([0x33, 0x33, 0x33, 0x33, 0, 0, 0, 0]);
    expect(faults.entries[0]).toMatchObject({ address: BigInt(memory.size), length: 4, cause: 'outside-memory' });
  });

  it('changes its generation when a page that could be borrowed becomes private', () => {
    const { conversion, space } = bootWithPrivatePage();
    const { generation } = space;
    conversion.setPrivate(BEFORE, PAGE_SIZE);
    expect(space.generation).not.toBe(generation);
  });

  it('is the same for a device that does not offer ACCESS_PLATFORM', () => {
    const hardware = simulateSev(new GuestMemory(new SharedArrayBuffer(PAGE_SIZE)), OPTIONS);
    expect(hardware.addressSpace(false)).toBe(hardware.addressSpace(true));
  });

  it('opens in another thread from its module and a clone of its state', async () => {
    const memory = new GuestMemory(new SharedArrayBuffer(4 * PAGE_SIZE));
    const hardware = simulateSev(memory, OPTIONS);
    const { module, state, open } = hardware.addressSpace(true);
    expect(await import(module!)).toHaveProperty('openAddressSpace', open);
    const [here, there] = [state, structuredClone(state)].map((state) => open(memory, new FaultLog(), state));
    const seen = [new Uint8Array(64), new Uint8Array(64)] as const;
    here!.read(PAGE_SIZE, 0, seen[0], 0, 64);
    there!.read(PAGE_SIZE, 0, seen[1], 0, 64);
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]).not.toEqual(new Uint8Array(64));
  });
});
