import { blockDescription } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { VfioMachine } from '@virtio-platform/machine-vfio';
import { VFIO_CONTAINER, type Type1Container } from '@virtio-platform/platform-vfio';
import { BlockRing, READ, WRITE } from '@virtio-platform/conformance/testing';

const MEMORY = 4 * 2 ** 20;
/** What is mapped: the beginning of memory, at an address of its own. The rest of memory is at no address. */
const MAPPED = 2 ** 20;
export const IOVA = 0x4000_0000;
/** Guest memory that is not mapped, and what is in all of it. */
const OUTSIDE = 2 * 2 ** 20;
const CANARY = 0xa5;
const READ_WRITE = 3;
/** One page: QEMU gives up a device that is denied several at once. */
const DATA = PAGE_SIZE;

/** What came of one request whose data is at an address that is not mapped. */
export interface StrayAccess {
  readonly stray: 'write' | 'read';
  /** As the kernel's log has it. */
  readonly iova: string;
  /** What the device said: 0 is OK. */
  readonly status: number;
  /** Bytes of memory outside the mapping, all of which were {@link CANARY}, that are something else. */
  readonly changed: number;
  /** Of a sector that was there before: whether it still is. */
  readonly sectorKept: boolean;
}

/** Has a block device write to, and read from, memory that its container does not map. */
export async function strayAccesses(device: string): Promise<StrayAccess[]> {
  const machine = await new VfioMachine(
    {
      memory: MEMORY,
      device: blockDescription(),
      needs: [VFIO_CONTAINER],
      simulate: undefined,
      baseDirectory: '/',
    },
    { device, container: 'type1v2', sharesWith: [], interrupts: 'messages' },
  ).boot();
  try {
    return tryStrayAccesses(machine);
  } finally {
    await machine.dispose();
  }
}

function tryStrayAccesses(machine: BootedMachine): StrayAccess[] {
  const { memory, facilities } = machine;
  const container = facilities.get(VFIO_CONTAINER) as Type1Container;
  memory.u8.fill(CANARY, MAPPED);
  if (container.mapDma(0, IOVA, MAPPED, READ_WRITE) !== 0) throw new Error('the mapping was refused');
  const options = { path: 'linear', capacity: 64, offset: BigInt(IOVA) } as const;
  const ring = new BlockRing(machine, new DirectDmaMapping(memory, options));
  const data = memory.allocate(DATA);
  memory.u8.fill(0x77, data, data + DATA);
  ring.request(WRITE, 0, data, DATA);
  const outcomes = [stray(ring, 'write', OUTSIDE, data), stray(ring, 'read', OUTSIDE + 16 * PAGE_SIZE, data)];
  ring.end();
  return outcomes;
}

/** The device writes where the driver reads its disk, and the other way round. */
function stray(ring: BlockRing, kind: StrayAccess['stray'], outside: number, data: number): StrayAccess {
  const { memory } = ring.machine;
  const status = ring.request(kind === 'write' ? READ : WRITE, 0, outside, DATA);
  memory.u8.fill(0, data, data + DATA);
  ring.request(READ, 0, data, DATA);
  return {
    stray: kind,
    iova: `0x${(IOVA + outside).toString(16)}`,
    status,
    changed: memory.u8.subarray(MAPPED).reduce((count, byte) => count + (byte === CANARY ? 0 : 1), 0),
    sectorKept: memory.u8.subarray(data, data + DATA).every((byte) => byte === 0x77),
  };
}
