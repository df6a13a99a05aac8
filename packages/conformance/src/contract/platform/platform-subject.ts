import type { DeviceAddressing } from '@virtio-platform/core/dma';
import type { PlatformPlugin } from '@virtio-platform/core';
import type { PlatformTraits } from '@virtio-platform/core/negotiation';
import { skipCheck } from '../../contract-check.ts';
import { checkOptions, openPlatform, type OpenedPlatform } from '../../testing/open-plugin.ts';

/** A plugin under test, with its options. */
export interface PlatformPluginSubject {
  readonly plugin: PlatformPlugin;
  /** The options as a profile would give them, before the schema. */
  readonly options: unknown;
  /** Bytes of guest memory to simulate with. */
  readonly memory: number;
  /** What the device can do with addresses; everything unless given. */
  readonly addressing?: DeviceAddressing | undefined;
}

/** Entries of the rings of a check. */
export const QUEUE_SIZE = 8;
/** Mappings that a queue of that size can hold at once, with indirect tables of 4. */
export const MAPPING_CAPACITY: number = QUEUE_SIZE * 4;

/**
 * Opens the plugin's platform over its simulated hardware, with the subject's options. Skips the check where the plugin
 * has no simulated hardware.
 */
export async function openSubject(subject: PlatformPluginSubject): Promise<OpenedPlatform> {
  const { plugin, memory, addressing } = subject;
  if (plugin.simulate === undefined)
    skipCheck(`${plugin.name} has no \`simulate\`: it runs on real machines only, and nothing of it can be tried here`);
  return openPlatform(plugin, await checkOptions(plugin, subject.options), { memory, addressing });
}

/** What a platform's traits promise of the device's access to one buffer. */
export interface PromisedAccess {
  /** The device reaches exactly what is mapped, in its direction, until `unmap` and `release`. */
  readonly revokes: boolean;
  readonly because: string;
  /** The device also reads what is mapped `FromDevice`. */
  readonly writableIsReadable: boolean;
  /** What the device borrowed stays with it until its reset. */
  readonly keepsBorrowed: boolean;
}

/** What the traits promise: what unmap takes away, and what they except from it. */
export function promisedAccess(traits: PlatformTraits): PromisedAccess {
  const { writableIsReadable = false, keepsBorrowed = false } = traits;
  return { ...promisedRevocation(traits), writableIsReadable, keepsBorrowed };
}

/**
 * What follows from the traits: behind an IOMMU that isolates, on a path on which each buffer has a mapping of its own,
 * unmap takes the access away. A fixed window and a bounce pool stay with the device.
 */
function promisedRevocation({ isolates, mappedPath }: PlatformTraits): Pick<PromisedAccess, 'revokes' | 'because'> {
  if (mappedPath.startsWith('bounced'))
    return { revokes: false, because: `path ${mappedPath}: the slots of the bounce pool stay shared with the device` };
  if (mappedPath === 'identity' || mappedPath === 'linear') {
    const because = `path ${mappedPath}: a window that is open for all buffers, and stays open`;
    return { revokes: false, because };
  }
  if (!isolates)
    return { revokes: false, because: 'isolates is false: no IOMMU keeps the device from what is not mapped' };
  return { revokes: true, because: `isolates, path ${mappedPath}: each buffer is mapped for the device by itself` };
}
