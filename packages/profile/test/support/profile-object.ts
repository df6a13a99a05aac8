import type { ProfileObject } from '@virtio-platform/profile';
import { fixture } from './temporary-folder.ts';

/** A profile that is right, over the fixture plugins, with the sections that a test replaces. */
export function profileObject(more: ProfileObject = {}): ProfileObject {
  return {
    profile: 'test',
    platform: { use: fixture('tiny-platform') },
    machine: { use: fixture('tiny-machine'), memory: '1MiB' },
    device: { type: 'block' },
    queue: { layout: 'split', size: 256 },
    workload: { kind: 'write-read-verify', requests: 20, depth: 4, blockSize: '4KiB', seed: 7 },
    expect: { faults: 0 },
    ...more,
  };
}
