import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { DescriptorChain, LONGEST_TABLE } from '@virtio-platform/core/queue';
import { Random } from '@virtio-platform/device-kit';

/** Bytes of guest memory behind hostile chains. */
const MEMORY = 16 * PAGE_SIZE;
/** Nothing is there. */
const NOWHERE = 2 ** 48;
/** About the longest segment that there can be beside a page: a buffer has 4 GiB at most. */
const LONGEST = 0xffff_e000;

/** One segment: address and bytes. */
type Segment = readonly [address: number, bytes: number];

/** A buffer that a driver may make available, however little sense it makes. */
export interface HostileChain {
  readonly name: string;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

const SHORT: Segment = [PAGE_SIZE, 1];
const PLAIN: Segment = [PAGE_SIZE, 512];
const OTHER: Segment = [4 * PAGE_SIZE, 512];

/** What a driver can make available: of sound rings, and of nothing else. */
export const HOSTILE_CHAINS: readonly HostileChain[] = [
  { name: 'empty', readable: [], writable: [] },
  { name: 'one readable byte', readable: [SHORT], writable: [] },
  { name: 'one writable byte', readable: [], writable: [[4 * PAGE_SIZE, 1]] },
  { name: 'only readable', readable: [PLAIN], writable: [] },
  { name: 'only writable', readable: [], writable: [OTHER] },
  { name: 'a byte and a byte', readable: [SHORT], writable: [[4 * PAGE_SIZE, 1]] },
  { name: 'both parts', readable: [PLAIN], writable: [OTHER] },
  { name: 'whose readable part is nowhere', readable: [[NOWHERE, 512]], writable: [OTHER] },
  { name: 'whose writable part is nowhere', readable: [PLAIN], writable: [[NOWHERE, 512]] },
  { name: 'whose writable part is read-only', readable: [PLAIN], writable: [[PAGE_SIZE, 512]] },
  { name: 'to read from nowhere', readable: [[NOWHERE, 512]], writable: [] },
  { name: 'to write to nowhere', readable: [], writable: [[NOWHERE, 512]] },
  { name: 'to write to read-only pages', readable: [], writable: [[PAGE_SIZE, 512]] },
  { name: 'to write to pages of which the second is read-only', readable: [], writable: [OTHER, [PAGE_SIZE, 512]] },
  { name: 'whose parts end nowhere', readable: [[MEMORY - 8, 512]], writable: [[MEMORY - 8, 512]] },
  { name: 'of 4 GiB to read', readable: [[MEMORY - PAGE_SIZE, LONGEST]], writable: [OTHER] },
  { name: 'of 4 GiB to write', readable: [PLAIN], writable: [[MEMORY - PAGE_SIZE, LONGEST]] },
  { name: 'of 4 GiB nowhere', readable: [[NOWHERE, LONGEST]], writable: [[NOWHERE, 1]] },
  {
    name: 'of a thousand segments',
    readable: Array.from({ length: 500 }, (_, i): Segment => [PAGE_SIZE + i, 1]),
    writable: Array.from({ length: 500 }, (_, i): Segment => [4 * PAGE_SIZE + i, 1]),
  },
];

/** Memory for hostile chains: its first pages are read-only for the device, the others are not. */
export class HostileMemory {
  readonly memory: GuestMemory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  readonly chain: DescriptorChain = new DescriptorChain(LONGEST_TABLE);
  readonly space: DeviceAddressSpace;
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
    const inner = PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
    this.space = {
      memory: inner.memory,
      faults: inner.faults,
      generation: 0,
      read: (low, high, target, at, length) => inner.read(low, high, target, at, length),
      write: (low, high, source, at, length) => !refuses(low, high) && inner.write(low, high, source, at, length),
      borrow: (low, high, length, access) =>
        access === 'write' && refuses(low, high) ? -1 : inner.borrow(low, high, length, access),
    };
  }

  /** Fills memory with what an author does not expect, and the chain with the segments. */
  fill({ readable, writable }: HostileChain, head: number): DescriptorChain {
    const { u8 } = this.memory;
    const kind = this.#random.below(4);
    for (let i = PAGE_SIZE; i < PAGE_SIZE + 64; i++)
      u8[i] = kind === 0 ? 0 : kind === 1 ? 0xff : this.#random.below(kind === 2 ? 4 : 256);
    this.chain.clear(head);
    for (const [address, bytes] of readable) this.#append(address, bytes, false);
    for (const [address, bytes] of writable) this.#append(address, bytes, true);
    return this.chain;
  }

  #append(address: number, bytes: number, isWritable: boolean): void {
    this.chain.append(address % 2 ** 32, Math.floor(address / 2 ** 32), bytes, isWritable, LONGEST_TABLE);
  }
}

/** Whether an address is in the pages that the device may not write. */
function refuses(low: number, high: number): boolean {
  return high === 0 && low < 3 * PAGE_SIZE;
}
