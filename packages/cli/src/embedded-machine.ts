import { createRequire } from 'node:module';
import { settingsWithoutPaths } from '@virtio-platform/core';
import { describedHardware, type CheckedPlugins, type Profile } from '@virtio-platform/profile';

/** The machine that starts nothing: memory, the platform's hardware and the device are in this process. */
const EMBEDDED = '@virtio-platform/machine-simulated';
/** Bytes of memory in place of a machine that is not started: as much as negotiation can need. */
const MOST_MEMORY = 1024 ** 3;

/** The embedded profile with its device in this thread, where its address space can be asked. */
export function inThisThread(profile: Profile): Profile {
  const { machine } = profile;
  return { ...profile, machine: { ...machine, options: { ...machine.options, device: 'same-thread', rogue: [] } } };
}

/** Whether the profile names the embedded machine, so that {@link onEmbeddedMachine} keeps its machine. */
export function isEmbedded({ machine }: Profile): boolean {
  return machine.use === EMBEDDED;
}

/**
 * The profile on the embedded machine that is installed with this command, without its files: booting that machine
 * starts no program, opens no file and connects to nothing. Another machine is replaced: by one whose device is on the
 * same transport, and whose hardware is what the options of the other say of its own. The device offers what
 * `device.offers` lists, or all that the embedded one implements. `plugins` are those of the profile.
 */
export async function onEmbeddedMachine(profile: Profile, plugins: CheckedPlugins): Promise<Profile> {
  const { device, memory } = profile;
  const withoutFiles = { ...device, settings: settingsWithoutPaths(device.type, device.settings) };
  const use = createRequire(import.meta.url).resolve(EMBEDDED);
  if (isEmbedded(profile)) return { ...profile, device: withoutFiles, machine: { ...profile.machine, use } };
  const { platform, transport } = await describedHardware(plugins.platform, plugins.machine);
  const options = transport === undefined ? {} : { transport };
  return {
    ...profile,
    platform,
    device: withoutFiles,
    machine: { ...profile.machine, use, options },
    memory: Math.min(memory, MOST_MEMORY),
  };
}
