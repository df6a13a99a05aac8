/**
 * Runs inside a guest, as an ordinary user: `vfio-checks <PCI address of a block device>`. Holds the kernel's
 * containers to the contract, then has the device use addresses that are not mapped, and prints what came of it: one
 * line of JSON each.
 */
import 'reflect-metadata';
import { Disposal } from '@virtio-platform/host';
import { ProcessMemory, requestDevice } from '@virtio-platform/machine-vfio';
import { TYPE1_CONTAINER_CHECKS, VFIO_DMA_UNMAP_FLAG_ALL, type Type1Container } from '@virtio-platform/platform-vfio';
import { strayAccesses } from './stray-accesses.ts';

const MEMORY = 16 * 2 ** 20;

/** As a line that no kernel message can be taken for. */
function print(result: object): void {
  console.log(`result ${JSON.stringify(result)}`);
}

/** One container for all checks: a device takes a tenth of a second to be reset each time it is handed out. */
async function checkContainer(device: string, type: Type1Container['type']): Promise<void> {
  const disposal = new Disposal();
  try {
    const memory = ProcessMemory.create(MEMORY);
    disposal.add(() => memory.dispose());
    const options = { device, container: type, interrupts: 'messages' } as const;
    const { container } = requestDevice(options, memory, disposal);
    if (container.type === 'iommufd') throw new TypeError(`asked for ${type}`);
    print({ again: tryCheck(() => requestDevice(options, memory, disposal)), type });
    for (const check of TYPE1_CONTAINER_CHECKS) {
      if (check.type !== undefined && check.type !== type) continue;
      print({ check: check.name, type, failure: tryCheck(() => check.run({ container, memorySize: MEMORY })) });
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

const device = process.argv[2]!;
await checkContainer(device, 'type1');
await checkContainer(device, 'type1v2');
for (const outcome of await strayAccesses(device)) print(outcome);
