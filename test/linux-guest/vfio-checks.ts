/**
 * Runs inside a guest, as an ordinary user: `vfio-checks <PCI address of a block device>`. Holds the kernel's
 * containers to the contract, then has the device use addresses that are not mapped, drives it by a client that waits
 * in the event loop, and prints what came of it: one line of JSON each.
 */
import 'reflect-metadata';
import { openBlock } from '@virtio-platform/client';
import { Disposal } from '@virtio-platform/host';
import { ProcessMemory, requestDevice } from '@virtio-platform/machine-vfio';
import { TYPE1_CONTAINER_CHECKS, VFIO_DMA_UNMAP_FLAG_ALL } from '@virtio-platform/platform-vfio';
import { strayAccesses } from './stray-accesses.ts';

const MEMORY = 16 * 2 ** 20;
const SECTOR = 512;

/** As a line that no kernel message can be taken for. */
function print(result: object): void {
  console.log(`result ${JSON.stringify(result)}`);
}

/** One container for all checks: a device takes a tenth of a second to be reset each time it is handed out. */
async function checkContainer(device: string, type: 'type1' | 'type1v2', sharesWith: string[]): Promise<void> {
  const disposal = new Disposal();
  try {
    const memory = ProcessMemory.create(MEMORY);
    disposal.add(() => memory.dispose());
    const options = { device, container: type, sharesWith, interrupts: 'messages' } as const;
    const { container } = requestDevice(options, memory, disposal);
    if (container.type === 'iommufd') throw new TypeError(`asked for ${type}`);
    print({ again: tryCheck(() => requestDevice(options, memory, disposal)), type });
    for (const check of TYPE1_CONTAINER_CHECKS) {
      if (check.type !== undefined && check.type !== type) continue;
      print({
        check: check.name,
        type,
        devices: 1 + sharesWith.length,
        failure: tryCheck(() => check.run({ container, memorySize: MEMORY })),
      });
      container.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
    }
  } finally {
    await disposal.run();
  }
}

function tryCheck(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Writes and reads sectors, one after the other and several at once, then idles. */
async function useClient(address: string): Promise<void> {
  const profile = {
    platform: { use: '@virtio-platform/platform-vfio' },
    machine: { use: '@virtio-platform/machine-vfio', memory: '16MiB', device: address },
    device: { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM', 'RING_EVENT_IDX'] },
    driver: { privilege: 'process', timeout: '30s' },
  } as const;
  // The user may lock little memory.
  const disk = await openBlock(profile, { depth: 8, partBytes: 4096 });
  let wrong = 0;
  const use = async (i: number): Promise<void> => {
    await disk.write(i * SECTOR, Buffer.alloc(SECTOR, i + 1));
    const read = await disk.read(i * SECTOR, SECTOR);
    if (!read.equals(Buffer.alloc(SECTOR, i + 1))) wrong++;
  };
  for (let i = 0; i < 30; i++) await use(i);
  await Promise.all(Array.from({ length: 30 }, (_, i) => use(100 + i)));
  print({ client: disk.statistics, wrong });
  await disk.close();
}

const device = process.argv[2]!;
// With another device in the container, memory is counted once all the same.
await checkContainer(device, 'type1', []);
await checkContainer(device, 'type1v2', process.argv.slice(3));
for (const outcome of await strayAccesses(device)) print(outcome);
await useClient(device);
