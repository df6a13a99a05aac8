import { join } from 'node:path';
import { serveProfile, type ServedCommand } from '../machines/served-command.ts';
import { runLinuxGuest, type LinuxGuestOptions } from './linux-guest.ts';
import type { ServedMachine } from './served-machines.ts';

/** A device that is served, and how QEMU shows it to a guest. */
export interface ServedToGuest {
  /** As in a profile. Of a block device the image is added. */
  readonly device: Readonly<Record<string, unknown>>;
  /** QEMU's arguments; {name} is that of its socket. */
  readonly arguments: readonly string[];
}

/** What a device printed. */
export type ServedEvents = ReturnType<ServedCommand['events']>;

/** A guest and its devices, by name. */
export interface ServedGuestOptions extends Pick<
  LinuxGuestOptions,
  'modules' | 'script' | 'during' | 'reboots' | 'timeoutMs'
> {
  readonly machine: ServedMachine;
  readonly devices: Readonly<Record<string, ServedToGuest>>;
  /** QEMU's arguments behind those of machine and devices. */
  readonly arguments?: readonly string[];
  /** For profiles, sockets and images. */
  readonly folder: string;
}

/** The kernel modules for the devices that are served to it. */
export const DEVICE_MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net', 'virtio_rng', 'virtio_scsi', 'sd_mod'];

/** The image of a disk that is served. */
export function servedImage(folder: string, name: string): string {
  return join(folder, `${name}.raw`);
}

/** QEMU's arguments for the socket of a device. */
export function socketArguments(folder: string, name: string): string[] {
  return ['-chardev', `socket,id=${name},path=${join(folder, `${name}.sock`)}`];
}

/** Of a profile that is served the device counts, and the layouts that are offered. */
function profileOf(device: ServedToGuest['device']): object {
  const kinds: Readonly<Record<string, string>> = { net: 'echo', entropy: 'read' };
  return {
    profile: 'served',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device,
    queue: { layout: 'packed' },
    workload: { kind: kinds[String(device['type'])] ?? 'write-read-verify', requests: 1, depth: 1, blockSize: '4KiB' },
  };
}

/**
 * Serves each device in a process of its own, as on a host, and boots the guest. A driver that breaks a rule loses its
 * device. Gives what was on its console, and what each device printed.
 */
export async function bootWithServed(
  options: ServedGuestOptions,
): Promise<{ readonly console: string; readonly events: Record<string, ServedEvents> }> {
  const { machine, devices, folder, arguments: more = [], ...guest } = options;
  const served: Record<string, ServedCommand> = {};
  try {
    await Promise.all(
      Object.entries(devices).map(async ([name, { device }]) => {
        const image = device['type'] === 'block' ? { image: servedImage(folder, name) } : {};
        served[name] = await serveProfile(folder, name, profileOf({ ...device, ...image }));
      }),
    );
    const { console } = await runLinuxGuest({
      ...guest,
      architecture: machine.architecture,
      release: machine.release,
      append: machine.append ?? '',
      modules: [...(machine.modules ?? []), ...guest.modules],
      arguments: [
        ...machine.arguments,
        ...Object.entries(devices).flatMap(([name, { arguments: words }]) => [
          ...socketArguments(folder, name),
          ...words.map((word) => word.replace('{name}', name)),
        ]),
        ...more,
      ],
    });
    const events = Object.entries(served).map(([name, device]): [string, ServedEvents] => [name, device.events()]);
    return { console, events: Object.fromEntries(events) };
  } finally {
    await Promise.all(Object.values(served).map((device) => device.end()));
  }
}
