import {
  FaultLog,
  PHYSICAL_ADDRESS_SPACE,
  TranslatedAddressSpace,
  type AddressTranslation,
} from '@virtio-platform/core/address-space';
import {
  BouncedDmaMapping,
  BouncePools,
  DirectDmaMapping,
  DMA_NO_SPACE,
  ForwardingDmaMapping,
  type DmaDirection,
  type DmaMapping,
  type DmaRegion,
} from '@virtio-platform/core/dma';
import { FailingDmaMapping, FailurePlan } from '@virtio-platform/core/failure';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  checkDmaMapping,
  describeDmaMapping,
  DMA_ACCESS_CHECKS,
  DMA_LIMIT_CHECKS,
  DMA_MAPPING_CHECKS,
  DMA_REVOCATION_CHECKS,
  findCheck,
  PoisoningDmaMapping,
  type DmaMappingSubject,
} from '@virtio-platform/conformance';

const CAPACITY = 16;
const LINEAR_OFFSET = 1n << 59n;
const POOL_BYTES = 256 * 1024;

function newMemory(): GuestMemory {
  return new GuestMemory(new ArrayBuffer(4 * 1024 * 1024));
}

/** A window over all of memory at 2^59, as a device behind a POWER host bridge sees it. */
class LinearTranslation implements AddressTranslation {
  readonly generation = 0;
  readonly cause = 'outside-window';
  run = 0;
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  translate(low: number, high: number): number {
    this.run = high === 0x0800_0000 ? this.#size - low : 0;
    return this.run > 0 ? low : -1;
  }
}

function physicalSubject(): DmaMappingSubject {
  const memory = newMemory();
  return {
    memory,
    mapping: new DirectDmaMapping(memory, { path: 'physical', capacity: CAPACITY }),
    device: PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined),
    revokes: false,
    dispose: () => {},
  };
}

function linearSubject(): DmaMappingSubject {
  const memory = newMemory();
  return {
    memory,
    mapping: new DirectDmaMapping(memory, { path: 'linear', capacity: CAPACITY, offset: LINEAR_OFFSET }),
    device: new TranslatedAddressSpace(memory, new FaultLog(), new LinearTranslation(memory.size)),
    revokes: false,
    dispose: () => {},
  };
}

function bouncedSubject(): DmaMappingSubject {
  const memory = newMemory();
  const inner = new DirectDmaMapping(memory, { path: 'identity', capacity: 1 });
  const pools = new BouncePools({ bytes: POOL_BYTES }, (bytes) => inner.allocateCoherent(bytes, PAGE_SIZE));
  return {
    memory,
    mapping: new BouncedDmaMapping(memory, pools, inner, CAPACITY),
    device: PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined),
    revokes: false,
    dispose: () => {},
  };
}

function poisoningSubject(firstAddress?: number): DmaMappingSubject {
  const memory = newMemory();
  const mapping = new PoisoningDmaMapping(memory, {
    capacity: CAPACITY,
    ...(firstAddress === undefined ? {} : { firstAddress }),
  });
  return { memory, mapping, device: mapping.openAddressSpace(new FaultLog()), revokes: true, dispose: () => {} };
}

describeDmaMapping('DirectDmaMapping with physical addresses', { setup: physicalSubject });
describeDmaMapping('DirectDmaMapping at 2^59', { setup: linearSubject });
describeDmaMapping('BouncedDmaMapping', { setup: bouncedSubject });
describeDmaMapping('FailingDmaMapping without injected failures', {
  setup: () => {
    const subject = bouncedSubject();
    const never = { map: new FailurePlan(), region: new FailurePlan(), wrongAddress: new FailurePlan() };
    return { ...subject, mapping: new FailingDmaMapping(subject.mapping, never) };
  },
});
describeDmaMapping('PoisoningDmaMapping', { setup: () => poisoningSubject() });
describeDmaMapping('PoisoningDmaMapping from device address 0', { setup: () => poisoningSubject(0) });

/** Breaks a sound subject: returns a broken mapping, or a promise that the mapping does not keep. */
type Break = (inner: DmaMapping, memory: GuestMemory) => ForwardingDmaMapping | Partial<DmaMappingSubject>;

/** One broken mapping or more for each check: the name of the check, the defect, and the sound subject. */
const BROKEN: [check: string, wrong: string, setup: () => DmaMappingSubject, breaks: Break][] = [
  [
    'writes a device address to the two given words and to no others',
    'a word too many',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override map(...[address, length, direction, words, at]: Parameters<DmaMapping['map']>): number {
          words[at + 2] = 0;
          return super.map(address, length, direction, words, at);
        }
      })(inner),
  ],
  [
    'refuses addresses outside of memory, and leaves the words untouched',
    'writes before it looks',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override map(...[address, length, direction, words, at]: Parameters<DmaMapping['map']>): number {
          words[at] = address;
          return super.map(address, length, direction, words, at);
        }
      })(inner),
  ],
  [
    'refuses a buffer beyond its largest mapping, and leaves the words untouched',
    'states a smaller limit than it keeps',
    bouncedSubject,
    (inner) => new ForwardingDmaMapping(inner, { limits: { ...inner.limits, maxMappingSize: 1000 } }),
  ],
  [
    'gives every mapping an id of its own that can be unmapped once',
    'hands the slot out as the id',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        #last = 0;
        override map(...parameters: Parameters<DmaMapping['map']>): number {
          this.#last = super.map(...parameters);
          return this.#last < 0 ? this.#last : this.#last % CAPACITY;
        }
        override unmap(_id: number, written: number): void {
          super.unmap(this.#last, written);
        }
      })(inner),
  ],
  [
    'throws RangeError for an id that is not live',
    'ignores an unknown id',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override syncForCpu(): void {}
      })(inner),
  ],
  [
    'counts maps, unmaps and live mappings, and a region as one',
    'counts a region twice',
    bouncedSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        #regions = 0;
        override get statistics(): DmaMapping['statistics'] {
          const { maps, live, ...rest } = super.statistics;
          return { ...rest, maps: maps + this.#regions, live };
        }
        override premap(...parameters: Parameters<DmaMapping['premap']>): DmaRegion {
          this.#regions++;
          return super.premap(...parameters);
        }
      })(inner),
  ],
  [
    'syncs parts of a mapping and of a region, and touches no memory beside them',
    'clears the whole page',
    physicalSubject,
    (inner, memory) =>
      new (class extends ForwardingDmaMapping {
        override syncForCpu(_id: number, offset: number): void {
          memory.u8.fill(0, PAGE_SIZE + offset, 2 * PAGE_SIZE + offset);
        }
      })(inner),
  ],
  [
    'throws RangeError for a sync outside of a mapping, and touches no memory',
    'does not check the range for the device',
    poisoningSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override syncForDevice(): void {}
      })(inner),
  ],
  [
    'throws RangeError for a sync outside of a region, and touches no memory',
    'does not check the range in coherent memory',
    poisoningSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override allocateCoherent(...parameters: Parameters<DmaMapping['allocateCoherent']>): DmaRegion {
          const region = super.allocateCoherent(...parameters);
          return {
            ...region,
            release: () => region.release(),
            syncForCpu() {},
            syncForDevice() {},
            writeDeviceAddress() {},
          };
        }
      })(inner),
  ],
  [
    'leaves a buffer unchanged when the device wrote nothing',
    'copies everything back, also bytes that were not written',
    poisoningSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override unmap(id: number, _written: number): void {
          super.unmap(id, Infinity);
        }
      })(inner),
  ],
  [
    'premaps a region that is contiguous for the device',
    'gives every page an address of its own',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override premap(...parameters: Parameters<DmaMapping['premap']>): DmaRegion {
          const region = super.premap(...parameters);
          return {
            ...region,
            writeDeviceAddress(offset, words, at) {
              words[at] = offset % PAGE_SIZE;
              words[at + 1] = Math.floor(offset / PAGE_SIZE);
            },
          };
        }
      })(inner),
  ],
  [
    'throws ERR_DMA_RANGE for a region outside memory',
    'throws another error',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
          if (address < 0) throw new RangeError('negative');
          return super.premap(address, length, direction);
        }
      })(inner),
  ],
  [
    'throws RangeError when a region is released twice',
    'lets it pass',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override allocateCoherent(length: number, alignment: number): DmaRegion {
          const region = super.allocateCoherent(length, alignment);
          let isReleased = false;
          return {
            ...region,
            release() {
              if (!isReleased) region.release();
              isReleased = true;
            },
          };
        }
      })(inner),
  ],
  [
    'allocates coherent memory zeroed, aligned on both sides and contiguous for the device',
    'does not zero the memory',
    physicalSubject,
    (inner, memory) =>
      new (class extends ForwardingDmaMapping {
        override allocateCoherent(length: number, alignment: number): DmaRegion {
          const region = super.allocateCoherent(length, alignment);
          memory.u8[region.address + length - 1] = 0xff;
          return region;
        }
      })(inner),
  ],
  [
    'allocates coherent memory zeroed, aligned on both sides and contiguous for the device',
    'aligns the guest address only',
    physicalSubject,
    (_inner, memory) => ({
      mapping: new DirectDmaMapping(memory, { path: 'linear', capacity: CAPACITY, offset: 256n }),
    }),
  ],
  [
    'returns DMA_NO_SPACE when it is full, leaves the words untouched, leaks nothing, and recovers',
    'leaks a mapping when it is full',
    poisoningSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override map(...parameters: Parameters<DmaMapping['map']>): number {
          if (this.statistics.live < 10) return super.map(...parameters);
          super.map(...parameters);
          return DMA_NO_SPACE;
        }
      })(inner),
  ],
  [
    'throws ERR_DMA_EXHAUSTED when no memory is left for coherent memory, and recovers',
    'gives a shorter region',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override allocateCoherent(length: number, alignment: number): DmaRegion {
          return super.allocateCoherent(Math.min(length, PAGE_SIZE), alignment);
        }
      })(inner),
  ],
  [
    'lets the device read what was mapped for it',
    'gives an address that is off by one',
    physicalSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override map(...[address, length, direction, words, at]: Parameters<DmaMapping['map']>): number {
          const id = super.map(address, length, direction, words, at);
          words[at] = words[at]! + 1;
          return id;
        }
      })(inner),
  ],
  [
    'brings back as many bytes as the device wrote',
    'brings back nothing',
    bouncedSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override unmap(id: number, _written: number): void {
          super.unmap(id, 0);
        }
      })(inner),
  ],
  [
    'shares a region after a sync, and coherent memory without one',
    'does not sync',
    bouncedSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override premap(...parameters: Parameters<DmaMapping['premap']>): DmaRegion {
          const region = super.premap(...parameters);
          return {
            ...region,
            writeDeviceAddress: (offset, words, at) => region.writeDeviceAddress(offset, words, at),
            syncForDevice: () => {},
          };
        }
      })(inner),
  ],
  [
    'resolves its device addresses to the buffer or to one copy',
    'knows the first page only',
    poisoningSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override readonly resolve = (low: number, high: number): number =>
          low % (4 * PAGE_SIZE) < PAGE_SIZE ? inner.resolve!(low, high) : -1;
      })(inner),
  ],
  [
    'unmaps and frees everything when it is disposed with live mappings and regions',
    'forgets to',
    poisoningSubject,
    (inner) =>
      new (class extends ForwardingDmaMapping {
        override dispose(): void {}
      })(inner),
  ],
];

describe('DMA_MAPPING_CHECKS', () => {
  it.each(BROKEN)('catch in "%s" a mapping that %s', async (name, _wrong, setup, breaks) => {
    const subject = setup();
    const check = findCheck(DMA_MAPPING_CHECKS, name);
    await checkDmaMapping(check, setup());
    const change = breaks(subject.mapping, subject.memory);
    const broken = { ...subject, ...(change instanceof ForwardingDmaMapping ? { mapping: change } : change) };
    await expect(checkDmaMapping(check, broken)).rejects.toMatchObject({ code: 'ERR_ASSERTION' });
  });

  it('are each shown to catch a broken mapping, here or in test/plugins/broken-platforms.test.ts', () => {
    const ofPlatforms = new Set([...DMA_LIMIT_CHECKS, ...DMA_ACCESS_CHECKS, ...DMA_REVOCATION_CHECKS]);
    expect([...new Set(BROKEN.map(([name]) => name))].toSorted()).toEqual(
      DMA_MAPPING_CHECKS.filter((check) => !ofPlatforms.has(check))
        .map(({ name }) => name)
        .toSorted(),
    );
  });
});
