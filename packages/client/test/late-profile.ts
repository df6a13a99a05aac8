import { fileURLToPath } from 'node:url';
import type { BlockOptions } from '../src/index.ts';

/** The profile of a disk as `late-disk.ts` has it, in this thread or in a worker. */
export function lateDisk(serial: 'late' | 'hold' | 'fail' | 'crash', device: 'same-thread' | 'worker' = 'same-thread') {
  return {
    machine: { use: '@virtio-platform/machine-simulated', memory: '8MiB', device },
    // Not IN_ORDER: it answers in any order.
    device: { use: './late-disk.ts', capacity: '1MiB', serial, offers: ['VERSION_1', 'RING_EVENT_IDX', 'BLK_FLUSH'] },
    driver: { timeout: '2s' },
  } as const;
}

/** Where its paths start. */
export const HERE: BlockOptions = { load: { baseDirectory: fileURLToPath(new URL('.', import.meta.url)) } };
