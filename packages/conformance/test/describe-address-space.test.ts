import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  ADDRESS_SPACE_CHECKS,
  describeAddressSpace,
  findCheck,
  PoisoningDmaMapping,
  type AddressSpaceSubject,
} from '@virtio-platform/conformance';

function physicalSubject(): AddressSpaceSubject {
  const memory = new GuestMemory(new ArrayBuffer(8 * PAGE_SIZE));
  return {
    space: PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined),
    reachable: { address: BigInt(PAGE_SIZE), length: 2 * PAGE_SIZE, memory: PAGE_SIZE },
    refused: [
      { address: BigInt(memory.size), length: 64, access: 'read' },
      { address: 1n << 59n, length: 64, access: 'write' },
    ],
    dispose: () => {},
  };
}

function deviceAddress(write: (words: Uint32Array) => void): bigint {
  const words = new Uint32Array(2);
  write(words);
  return (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
}

function poisoningSubject(): AddressSpaceSubject {
  const memory = new GuestMemory(new ArrayBuffer(16 * PAGE_SIZE));
  const mapping = new PoisoningDmaMapping(memory, { capacity: 4 });
  const coherent = mapping.allocateCoherent(2 * PAGE_SIZE, 16);
  const reachable = {
    address: deviceAddress((words) => coherent.writeDeviceAddress(0, words, 0)),
    length: coherent.length,
    memory: coherent.address,
  };
  const buffer = memory.allocate(PAGE_SIZE);
  const readOnly = deviceAddress((words) => mapping.map(buffer, 64, DmaDirection.ToDevice, words, 0));
  const writeOnly = deviceAddress((words) => mapping.map(buffer, 64, DmaDirection.FromDevice, words, 0));
  return {
    space: mapping.openAddressSpace(new FaultLog()),
    reachable,
    refused: [
      { address: readOnly, length: 64, access: 'write' },
      { address: writeOnly, length: 64, access: 'read' },
      { address: BigInt(buffer), length: 64, access: 'read' },
    ],
    dispose: () => mapping.dispose(),
  };
}

describeAddressSpace('PHYSICAL_ADDRESS_SPACE', { setup: physicalSubject });
describeAddressSpace('what a PoisoningDmaMapping shows the device', { setup: poisoningSubject });

/** A space like the subject's with some of its methods replaced. */
function broken(changes: (space: DeviceAddressSpace) => Partial<DeviceAddressSpace>): AddressSpaceSubject {
  const subject = physicalSubject();
  const { space } = subject;
  const passing: DeviceAddressSpace = {
    memory: space.memory,
    faults: space.faults,
    generation: space.generation,
    read: (...parameters) => space.read(...parameters),
    write: (...parameters) => space.write(...parameters),
    borrow: (...parameters) => space.borrow(...parameters),
  };
  return { ...subject, space: Object.defineProperties(passing, Object.getOwnPropertyDescriptors(changes(space))) };
}

const BROKEN: [check: string, wrong: string, setup: () => AddressSpaceSubject][] = [
  [
    'reads and writes what is reachable, byte for byte',
    'drops the last byte of what is long',
    () =>
      broken((space) => ({
        write: (low, high, source, at, length) => space.write(low, high, source, at, Math.min(length, 999)),
      })),
  ],
  [
    'lends a reachable range as its place in memory',
    'lends the start of memory',
    () => broken(() => ({ borrow: () => 0 })),
  ],
  [
    'records a refused access with its address, length and direction, and touches no memory',
    'keeps silent',
    () => broken(() => ({ read: () => false, write: () => false })),
  ],
  [
    'records a refused access with its address, length and direction, and touches no memory',
    'wraps the address into memory',
    () =>
      broken((space) => ({
        write(low, high, source, at, length) {
          space.memory.u8.set(source.subarray(at, at + length), low % space.memory.size);
          return space.write(low, high, source, at, length);
        },
      })),
  ],
  [
    'lends nothing that it refuses',
    'lends without a look',
    () => broken((space) => ({ borrow: (low) => low % space.memory.size })),
  ],
  [
    'keeps its generation while nothing is taken away',
    'counts accesses',
    () => {
      let generation = 0;
      return broken(() => ({
        get generation() {
          return generation++;
        },
      }));
    },
  ],
];

describe('ADDRESS_SPACE_CHECKS', () => {
  it.each(BROKEN)('catch in "%s" a space that %s', (name, _wrong, setup) => {
    const check = findCheck(ADDRESS_SPACE_CHECKS, name);
    expect(() => check.run(setup())).toThrow(expect.objectContaining({ code: 'ERR_ASSERTION' }));
  });

  it('are each shown to catch a broken space', () => {
    expect([...new Set(BROKEN.map(([name]) => name))].toSorted()).toEqual(
      ADDRESS_SPACE_CHECKS.map(({ name }) => name).toSorted(),
    );
  });
});
