import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { deviceDescription, withMachine as withBooted } from '@virtio-platform/conformance/testing';
import type { BootedMachine, FacilityToken, MachineRequest } from '@virtio-platform/core';
import block from '@virtio-platform/device-block';
import { FeatureSet } from '@virtio-platform/core/features';
import type { VhostUserOptions } from '../src/options.ts';
import { VhostUserMachine } from '../src/vhost-user-machine.ts';

const isInstalled = ((): boolean => {
  try {
    execFileSync('qemu-storage-daemon', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** Whether tests of the real back-end are skipped: never in CI, where they fail instead. */
export const SKIP: boolean = !isInstalled && process.env['CI'] === undefined;
if (SKIP)
  console.warn('qemu-storage-daemon is not installed, so its tests are skipped: apt-get install qemu-system-common');

/** The command of a profile that starts it. */
export const STORAGE_DAEMON: string[] = [
  'qemu-storage-daemon',
  '--blockdev',
  'driver=file,node-name=file,filename={image}',
  '--blockdev',
  'driver=raw,node-name=raw,file=file',
  '--export',
  'type=vhost-user-blk,id=export,node-name=raw,addr.type=unix,addr.path={socket},writable=on,num-queues=1',
];

export const CAPACITY = 4 << 20;
export const MEMORY = 8 << 20;

export interface BootOptions {
  readonly needs?: readonly FacilityToken[];
  readonly offers?: FeatureSet;
  readonly image?: string;
  readonly driverInterface?: 'modern' | 'legacy';
  readonly machine?: Partial<VhostUserOptions>;
}

export function machine(options: BootOptions = {}): VhostUserMachine {
  const request: MachineRequest = {
    memory: MEMORY,
    device: deviceDescription(
      block,
      { capacity: CAPACITY, image: options.image },
      { driverInterface: options.driverInterface ?? 'modern', offers: options.offers },
    ),
    needs: options.needs ?? [],
    simulate: undefined,
    baseDirectory: tmpdir(),
  };
  const command = options.machine?.socket === undefined ? STORAGE_DAEMON : undefined;
  return new VhostUserMachine(request, {
    socket: undefined,
    command,
    startTimeout: 10_000,
    replyTimeout: 5000,
    iotlb: { fill: 'on-miss', writeImpliesRead: false },
    ...options.machine,
  });
}

/** Boots the machine of {@link machine}, gives it to `use`, and disposes it on every way out. */
export function withMachine(options: BootOptions, use: (booted: BootedMachine) => void | Promise<void>): Promise<void> {
  return withBooted(machine(options), use);
}

/** Everything that is in the one file that the only machine of this process passes to its back-end. */
export function sharedFile(): Buffer {
  const [file, ...others] = readdirSync('/proc/self/fd').filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith('/memfd:virtio-platform');
    } catch {
      // It was the descriptor that read the folder.
      return false;
    }
  });
  if (file === undefined || others.length > 0) throw new Error(`${others.length + 1} files of guest memory, or none`);
  return readFileSync(`/proc/self/fd/${file}`);
}
