import assert from 'node:assert/strict';
import type { DeviceAccess, DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { describeContract, type ContractCheck } from '../contract-check.ts';

/** A range of device addresses and where it lies in memory. */
export interface DeviceRange {
  readonly address: bigint;
  /** Bytes, at least 1024. */
  readonly length: number;
  /** Offset in the space's memory of the range's first byte. The range is one run of memory. */
  readonly memory: number;
}

/** An address space to try, fresh for each check. */
export interface AddressSpaceSubject {
  readonly space: DeviceAddressSpace;
  /** What the device may read and write. */
  readonly reachable: DeviceRange;
  /** Device addresses that refuse the access, with the memory they must not touch, if there is any behind them. */
  readonly refused: readonly { readonly address: bigint; readonly length: number; readonly access: DeviceAccess }[];
  dispose(): void;
}

/** The promises of `DeviceAddressSpace`, one by one. */
export const ADDRESS_SPACE_CHECKS: readonly ContractCheck<AddressSpaceSubject>[] = [
  {
    name: 'reads and writes what is reachable, byte for byte',
    duty: 'DeviceAddressSpace.read and write: `length` bytes from byte `at` of the array',
    advice: 'copy exactly these bytes: TranslatedAddressSpace of @virtio-platform/core/address-space does',
    run({ space, reachable }) {
      for (const length of [1, 127, 128, 129, 1000]) {
        const source = Uint8Array.from({ length }, (_, i) => (i * 13 + length) & 0xff);
        assert.ok(space.write(...wordsOf(reachable.address), source, 0, length));
        assert.deepEqual(space.memory.u8.slice(reachable.memory, reachable.memory + length), source);
        const target = new Uint8Array(length + 2);
        assert.ok(space.read(...wordsOf(reachable.address), target, 1, length));
        assert.deepEqual(target, Uint8Array.from([0, ...source, 0]), 'nothing around the target');
      }
      assert.equal(space.faults.count, 0);
    },
  },
  {
    name: 'lends a reachable range as its place in memory',
    duty: 'DeviceAddressSpace.borrow: the offset in `memory` of a range that is one run',
    advice: 'return the guest-physical address of the first byte',
    run({ space, reachable }) {
      for (const offset of [0, 16, 1008]) {
        const words = wordsOf(reachable.address + BigInt(offset));
        for (const access of ['read', 'write'] as const) {
          assert.equal(space.borrow(...words, 16, access), reachable.memory + offset);
        }
      }
      assert.equal(space.faults.count, 0);
    },
  },
  {
    name: 'records a refused access with its address, length and direction, and touches no memory',
    duty: 'DeviceAddressSpace: an access that the platform does not allow is recorded in the fault log and touches no memory',
    advice: 'record a fault with the first refused byte before returning false; fill the rest of a read with zeros',
    run({ space, refused }) {
      assert.ok(refused.length > 0, 'the subject names something that is refused');
      for (const { address, length, access } of refused) {
        const before = space.memory.u8.slice();
        const count = space.faults.count;
        const bytes = new Uint8Array(length).fill(0xee);
        const [low, high] = wordsOf(address);
        if (access === 'read') {
          assert.equal(space.read(low, high, bytes, 0, length), false);
          assert.ok(
            bytes.every((byte) => byte === 0),
            'what could not be read is zero',
          );
        } else assert.equal(space.write(low, high, bytes, 0, length), false);
        assert.equal(space.faults.count, count + 1);
        const { cause, ...fault } = space.faults.entries.at(-1)!;
        assert.deepEqual(fault, { address, length, access });
        assert.ok(cause.length > 0);
        assert.equal(Buffer.compare(space.memory.u8, before), 0, 'memory is unchanged');
      }
    },
  },
  {
    name: 'lends nothing that it refuses',
    duty: 'DeviceAddressSpace.borrow: returns -1 after a fault',
    advice: 'translate the range for the given access before lending it',
    run({ space, refused }) {
      for (const { address, length, access } of refused) {
        const count = space.faults.count;
        assert.equal(space.borrow(...wordsOf(address), length, access), -1);
        assert.equal(space.faults.count, count + 1);
      }
    },
  },
  {
    name: 'keeps its generation while nothing is taken away',
    duty: 'DeviceAddressSpace.generation: changes when a translation is removed or narrowed',
    advice: 'count where a translation is taken away, and nowhere else',
    run({ space, reachable }) {
      const { generation } = space;
      space.read(...wordsOf(reachable.address), new Uint8Array(64), 0, 64);
      space.write(...wordsOf(reachable.address), new Uint8Array(64), 0, 64);
      assert.equal(space.generation, generation);
      assert.equal(space.seenGeneration ?? generation, generation, 'seenGeneration is the generation');
    },
  },
];

/** Tries an address space against the whole contract; `setup` makes a fresh one for each check. */
export function describeAddressSpace(
  name: string,
  subject: { setup(): AddressSpaceSubject | Promise<AddressSpaceSubject> },
): void {
  describeContract(`${name} as a DeviceAddressSpace`, ADDRESS_SPACE_CHECKS, async (check) => {
    const tried = await subject.setup();
    try {
      await check.run(tried);
    } finally {
      tried.dispose();
    }
  });
}

function wordsOf(address: bigint): [low: number, high: number] {
  return [Number(address & 0xffff_ffffn), Number(address >> 32n)];
}
