import { DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  EBUSY,
  EINVAL,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  SimulatedIoas,
  SimulatedSpaprContainer,
  simulateVfio,
  VFIO_CONTAINER,
  vfioOptionsSchema,
  type IommufdIoas,
  type SpaprContainer,
  type Type1Container,
  type VfioContainer,
  type VfioOptionsInput,
  type VfioPlatform,
} from '@virtio-platform/platform-vfio';
import { startProcess, type UserProcess } from './user-process.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;
/** What a process has, and what the simulated kernel lets it pin. */
const MEMORY = 4 * 2 ** 20;
const HIGH = 2 ** 59;
/** 2 MiB that the hardware reads, and as much for the addresses that the process gave. */
const DEFAULT_TABLE = 4 * 2 ** 20;

const VARIANTS: readonly [string, VfioOptionsInput][] = [
  ['type1', { container: 'type1' }],
  ['type1v2', {}],
  ['spapr-v1', { container: 'spapr-v1', memoryLockLimit: '1GiB' }],
  ['spapr-v2', { container: 'spapr-v2' }],
  ['spapr-v2 with a window', { container: 'spapr-v2', window: {}, memoryLockLimit: '16MiB' }],
  ['iommufd', { container: 'iommufd' }],
  ['iommufd-type1', { container: 'iommufd-type1' }],
  ['iommufd-type1v2', { container: 'iommufd-type1v2' }],
];

interface Opened<Container extends VfioContainer> extends UserProcess<Container> {
  readonly mapping: DmaMapping;
  readonly words: Uint32Array;
}

function open<Container extends VfioContainer = Type1Container>(
  input: VfioOptionsInput,
  kernel?: (container: Container) => Container,
): Opened<Container> {
  const process = startProcess<Container>(input, kernel);
  const mapping = process.platform.openMapping('translated', { queue: 0, capacity: 8 });
  return { ...process, mapping, words: new Uint32Array(2) };
}

/** Opens a queue of a process with registered memory. */
function openIn(input: VfioOptionsInput, capacity: number): DmaMapping {
  const { platform } = startProcess<SpaprContainer>({ container: 'spapr-v2', memoryLockLimit: '64MiB', ...input });
  return platform.openMapping('translated', { queue: 0, capacity });
}

/** The ranges of a process that has mapped nothing. */
function rangesOf(input: VfioOptionsInput): VfioPlatform['addressRanges'] {
  return startProcess<VfioContainer>(input).platform.addressRanges;
}

function addressOf(words: Uint32Array): number {
  return words[1]! * 2 ** 32 + words[0]!;
}

describe.each(VARIANTS)('a device behind a container of %s', (_name, input) => {
  it('faults at its next access after an unmap, and at a ring that it holds on to', () => {
    const { memory, mapping, words, space, faults } = open(input);
    const buffer = memory.allocate(PAGE_SIZE) + 100;
    const id = mapping.map(buffer, 200, Bidirectional, words, 0);
    const [low, high] = [words[0]!, words[1]!];
    expect(space.borrow(low, high, 200, 'write')).toBe(buffer);
    const { generation } = space;
    mapping.unmap(id, 0);
    // A device that borrowed the memory has to borrow it again.
    expect(space.generation).not.toBe(generation);
    expect(space.borrow(low, high, 200, 'write')).toBe(-1);
    expect(space.write(low, high, new Uint8Array(200).fill(7), 0, 200)).toBe(false);
    expect(memory.u8.subarray(buffer, buffer + 200).every((byte) => byte === 0)).toBe(true);
    expect(faults.entries.map(({ cause }) => cause)).toEqual(['unmapped', 'unmapped']);
  });

  it('may do what the direction says', () => {
    const { memory, mapping, words, space } = open(input);
    const buffer = memory.allocate(PAGE_SIZE);
    mapping.map(buffer, 100, ToDevice, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 100, 'read')).toBe(buffer);
    expect(space.borrow(words[0]!, words[1]!, 100, 'write')).toBe(-1);
    const region = mapping.premap(buffer, 100, FromDevice);
    region.writeDeviceAddress(40, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 60, 'read')).toBe(-1);
    expect(space.borrow(words[0]!, words[1]!, 60, 'write')).toBe(buffer + 40);
  });

  it('aligns coherent memory on both sides, beyond its length too', () => {
    const { mapping, words, space } = open(input);
    mapping.allocateCoherent(100, 16);
    const region = mapping.allocateCoherent(5000, 2 ** 18);
    region.writeDeviceAddress(0, words, 0);
    expect(words[0]! % 2 ** 18).toBe(0);
    expect(space.borrow(words[0]!, words[1]!, 5000, 'write')).toBe(region.address);
    region.writeDeviceAddress(4999, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 1, 'write')).toBe(region.address + 4999);
  });

  it('reaches nothing when the process is done, and the process can map again', () => {
    const { memory, platform, mapping, words, space } = open(input);
    const buffer = memory.allocate(PAGE_SIZE);
    mapping.map(buffer, 100, ToDevice, words, 0);
    mapping.premap(buffer, 100, ToDevice);
    platform.dispose();
    expect(space.borrow(words[0]!, words[1]!, 100, 'read')).toBe(-1);
    expect([platform.pinnedBytes, platform.leakedBytes]).toEqual([0, 0]);
    const again = platform.openMapping('translated', { queue: 0, capacity: 1 });
    again.map(buffer, 100, ToDevice, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 100, 'read')).toBe(buffer);
    platform.dispose();
  });
});

describe('a queue in a small window', () => {
  it('has smaller mappings where it cannot have as many large ones', () => {
    const { limits } = openIn({ defaultWindowSize: '1GiB' }, 4096);
    expect(limits).toMatchObject({ maxMappings: 4096, maxMappingSize: 2 ** 17 - PAGE_SIZE });
  });

  it('has fewer where each would be less than two pages', () => {
    const mapping = openIn({ defaultWindowSize: 16 * PAGE_SIZE }, 4096);
    expect(mapping.limits).toMatchObject({ maxMappings: 4, maxMappingSize: PAGE_SIZE });
    const words = new Uint32Array(2);
    const ids = Array.from({ length: 5 }, () => mapping.map(2 * PAGE_SIZE - 1, PAGE_SIZE, ToDevice, words, 0));
    expect(ids.map((id) => id >= 0)).toEqual([true, true, true, true, false]);
    expect(ids[4]).toBe(DMA_NO_SPACE);
    mapping.unmap(ids[0]!, 0);
    expect(mapping.map(PAGE_SIZE, PAGE_SIZE, ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
    // The other half is for rings and pools.
    expect(mapping.premap(PAGE_SIZE, 8 * PAGE_SIZE, ToDevice).length).toBe(8 * PAGE_SIZE);
  });

  it('maps nothing in large pages of memory that is in smaller ones, and says so', () => {
    const mapping = openIn({ window: { pageSize: '2MiB', size: '1GiB' } }, 16);
    expect(mapping.map(PAGE_SIZE, 16, ToDevice, new Uint32Array(2), 0)).toBe(DMA_UNREACHABLE);
    expect(() => mapping.premap(PAGE_SIZE, 16, ToDevice)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_RANGE', hint: expect.stringContaining('platform.backingPageSize') }),
    );
  });
});

describe('a process with a container of spapr-v1', () => {
  it('enables it first and disables it last, and maps without being charged again', () => {
    const { container, mapping, memory, platform, words } = open<SpaprContainer>({
      container: 'spapr-v1',
      memoryLockLimit: '1GiB',
    });
    expect(container.enable()).toBe(EBUSY);
    mapping.map(memory.allocate(PAGE_SIZE), 100, ToDevice, words, 0);
    expect(addressOf(words)).toBeLessThan(2 ** 30);
    platform.dispose();
    expect(container instanceof SimulatedSpaprContainer && container.lockedBytes).toBe(0);
    expect(container.enable()).toBe(0);
  });

  it('says how much memory it has to be allowed to lock', () => {
    expect(() => open({ container: 'spapr-v1' })).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: 'cannot enable the container: ENOMEM',
        hint: expect.stringContaining('ulimit -l 1048576'),
      }),
    );
  });

  it('gives it back when no address can be used', () => {
    const input = { container: 'spapr-v1', memoryLockLimit: '1GiB', iovaStart: 2 ** 32 } as const;
    const { container, platform } = startProcess<SpaprContainer>(input);
    expect(() => platform.openMapping('translated', { queue: 0, capacity: 1 })).toThrow('has 0x0..0x3fffffff');
    expect(container.enable()).toBe(0);
  });
});

describe('a process with a container of spapr-v2', () => {
  it('registers its memory once, and unregisters it at the end', () => {
    const { container, mapping, memory, platform, words } = open<SpaprContainer>({ container: 'spapr-v2' });
    if (!(container instanceof SimulatedSpaprContainer)) throw new TypeError('not a container of this type');
    expect(container.lockedBytes).toBe(MEMORY);
    const buffer = memory.allocate(PAGE_SIZE);
    for (let i = 0; i < 3; i++) mapping.map(buffer, 100, ToDevice, words, 0);
    // The default window came with the first mapping.
    expect(container.lockedBytes).toBe(MEMORY + DEFAULT_TABLE);
    expect(container.registerMemory(0, MEMORY)).toBe(EBUSY);
    platform.dispose();
    expect(container.lockedBytes).toBe(DEFAULT_TABLE);
  });

  it('maps in the window that it created, above 2^53, byte for byte', () => {
    const { container, mapping, memory, platform, words, space } = open<SpaprContainer>({
      container: 'spapr-v2',
      memoryLockLimit: '16MiB',
      window: { pageSize: '64KiB', size: '1GiB' },
    });
    const buffer = memory.allocate(PAGE_SIZE);
    mapping.map(buffer + 7, 100, ToDevice, words, 0);
    expect(words[1]).toBe(HIGH / 2 ** 32);
    expect(words[0]! % 2 ** 16).toBe((buffer + 7) % 2 ** 16);
    expect(space.borrow(words[0]!, words[1]!, 100, 'read')).toBe(buffer + 7);
    const region = mapping.premap(buffer + 9, 100, ToDevice);
    region.writeDeviceAddress(3, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 97, 'read')).toBe(buffer + 12);
    expect(mapping.limits.addressBits).toBe(60);
    platform.dispose();
    expect(container.removeWindow(HIGH)).toBe(EINVAL);
    expect(container instanceof SimulatedSpaprContainer && container.lockedBytes).toBe(DEFAULT_TABLE);
  });

  it.each([
    [
      'register',
      { memoryLockLimit: MEMORY - PAGE_SIZE },
      /cannot register 4194304 bytes of memory: ENOMEM/,
      'ulimit -l 8192;',
    ],
    [
      'create',
      { memoryLockLimit: MEMORY + DEFAULT_TABLE, window: { pageSize: '4KiB', size: '1GiB' } } as const,
      /cannot create a window of 1GiB in pages of 4KiB with a table of 1 level: ENOMEM/,
      'ulimit -l 12288;',
    ],
  ])('says what it could not %s, and leaves nothing registered', (_what, input, message, hint) => {
    const { container, platform } = startProcess<SpaprContainer>({ container: 'spapr-v2', ...input });
    expect(() => platform.openMapping('translated', { queue: 0, capacity: 1 })).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: expect.stringMatching(message),
        hint: expect.stringContaining(hint),
      }),
    );
    expect(container.registerMemory(0, PAGE_SIZE)).toBe(0);
  });

  it('says what it could not do in a container that something else uses too', () => {
    const process = startProcess<SpaprContainer>({ container: 'spapr-v2', memoryLockLimit: '64MiB', window: {} });
    const map = (): DmaMapping => process.platform.openMapping('translated', { queue: 0, capacity: 1 });
    const { container } = process;
    container.registerMemory(0, PAGE_SIZE);
    expect(map).toThrow(expect.objectContaining({ code: 'ERR_DMA_RANGE', message: expect.stringContaining('EINVAL') }));
    container.unregisterMemory(0, PAGE_SIZE);
    container.createWindow(16, 2 ** 30, 1);
    expect(map).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_RANGE',
        message: 'cannot create a window of 1GiB in pages of 64KiB with a table of 1 level: ENOSPC',
        hint: expect.stringContaining('platform.window'),
      }),
    );
    container.removeWindow(HIGH);
    expect(map().limits.addressBits).toBe(60);
  });
});

describe('the addresses of interrupts', () => {
  it.each(['type1', 'type1v2', 'iommufd', 'iommufd-type1', 'iommufd-type1v2'] as const)(
    'are stated before anything is mapped, and reserved ones are no interrupts: %s',
    (container) => {
      expect(rangesOf({ container, reserved: [{ start: 0, size: '1MiB' }] })).toEqual([
        { what: 'interrupt range', kind: 'interrupts', deviceAddress: 0xfee0_0000n, length: 0x10_0000 },
      ]);
    },
  );

  it.each(['spapr-v1', 'spapr-v2'] as const)('are none on POWER: %s', (container) => {
    expect(rangesOf({ container, memoryLockLimit: '1GiB' })).toEqual([]);
  });

  it('are not known where the kernel does not tell them', () => {
    const { platform } = startProcess({}, (container) =>
      Object.assign(Object.create(container), {
        type: container.type,
        info: () => ({ ...container.info(), interruptRanges: undefined }),
      }),
    );
    expect(platform.addressRanges).toEqual([]);
  });
});

describe('a process with an address space of iommufd', () => {
  it('has the kernel choose, and is charged for every mapping', () => {
    const { container, mapping, memory, platform, words } = open<IommufdIoas>({ container: 'iommufd' });
    const buffer = memory.allocate(PAGE_SIZE);
    const addresses = [0, 1].map(() => {
      mapping.map(buffer, 100, ToDevice, words, 0);
      return addressOf(words);
    });
    expect(addresses).toEqual([PAGE_SIZE, 2 * PAGE_SIZE]);
    expect(container instanceof SimulatedIoas && container.lockedBytes).toBe(2 * PAGE_SIZE);
    platform.dispose();
    expect(container instanceof SimulatedIoas && container.lockedBytes).toBe(0);
  });

  it('has it choose from where the profile says', () => {
    const { mapping, memory, words } = open<IommufdIoas>({ container: 'iommufd', iovaStart: 2 ** 33 });
    mapping.map(memory.allocate(PAGE_SIZE), 100, ToDevice, words, 0);
    expect(addressOf(words)).toBe(2 ** 33);
    expect(() => open<IommufdIoas>({ container: 'iommufd', iovaStart: 2 ** 40 })).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_RANGE', message: expect.stringContaining('0x10000000000') }),
    );
  });

  it('says why it cannot map more', () => {
    const { mapping, memory } = open<IommufdIoas>({ container: 'iommufd', memoryLockLimit: PAGE_SIZE });
    const buffer = memory.allocate(2 * PAGE_SIZE);
    expect(() => mapping.premap(buffer, 2 * PAGE_SIZE, ToDevice)).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: expect.stringMatching(/to an I\/O virtual address: ENOMEM/),
        hint: expect.stringContaining('ulimit -l 8;'),
      }),
    );
    const reserved = [
      { start: 0, size: 0xfee0_0000 },
      { start: 0xfef0_0000, size: 2 ** 39 - 0xfef0_0000 - PAGE_SIZE },
    ];
    const full = open<IommufdIoas>({ container: 'iommufd', reserved });
    expect(() => full.mapping.premap(buffer, 2 * PAGE_SIZE, ToDevice)).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: expect.stringContaining('ENOSPC; no range of addresses is free'),
      }),
    );
  });

  it('takes no address that is aligned less than it asked for, as Linux without large pages chooses them', () => {
    const { mapping, memory, platform } = open<IommufdIoas>({ container: 'iommufd' }, (ioas) => ({
      type: ioas.type,
      info: () => ioas.info(),
      allowIovas: (ranges) => ioas.allowIovas(ranges),
      map: (address, _iova, size, flags) => ioas.map(address, PAGE_SIZE, size, flags | IOMMU_IOAS_MAP_FIXED_IOVA),
      unmap: (...request) => ioas.unmap(...request),
    }));
    const { allocated } = memory;
    expect(() => mapping.allocateCoherent(PAGE_SIZE, 2 * PAGE_SIZE)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_RANGE', message: expect.stringContaining('0x1000') }),
    );
    expect([memory.allocated, platform.leakedBytes]).toEqual([allocated, 0]);
    expect(mapping.allocateCoherent(PAGE_SIZE, PAGE_SIZE).length).toBe(PAGE_SIZE);
  });

  it('gives up what the kernel does not unmap', () => {
    const { mapping, memory, platform, words } = open<IommufdIoas>({ container: 'iommufd' }, (ioas) => ({
      type: ioas.type,
      info: () => ioas.info(),
      allowIovas: (ranges) => ioas.allowIovas(ranges),
      map: (...request) => ioas.map(...request),
      unmap: () => EINVAL,
    }));
    mapping.unmap(mapping.map(memory.allocate(PAGE_SIZE), 100, ToDevice, words, 0), 0);
    expect(platform.leakedBytes).toBe(PAGE_SIZE);
    platform.dispose();
    expect(platform.leakedBytes).toBe(PAGE_SIZE);
  });
});

describe('a process', () => {
  it.each([
    ['spapr-v2', 'type1v2'],
    ['type1', 'type1v2'],
    ['noiommu', 'iommufd'],
    ['iommufd', 'noiommu'],
  ] as const)('is told that its container is not of %s but of %s', (container, other) => {
    const memory = new GuestMemory(new SharedArrayBuffer(PAGE_SIZE));
    const { facilities } = simulateVfio(memory, vfioOptionsSchema.parse({ container: other }));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the token says which interface it is
    const actual = facilities.get(VFIO_CONTAINER) as VfioContainer;
    expect(() => startProcess<VfioContainer>({ container }, () => actual)).toThrow(
      expect.objectContaining({
        code: 'ERR_PLUGIN_FACILITY',
        message: `this machine's container is ${other}, not ${container}`,
        hint: expect.stringContaining(`platform.container: ${other}`),
      }),
    );
  });
});
