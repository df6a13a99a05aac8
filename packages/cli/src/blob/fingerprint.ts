import { createHash } from 'node:crypto';
import { isFullAddressing } from '@virtio-platform/core/dma';
import type { NamedRun, Profile } from '@virtio-platform/profile';
import { portablePath } from './portable-path.ts';
import type { BlobFolders } from './blob-lines.ts';

/**
 * A short text that differs where two runs are made of other things: of another machine, queue or workload, or with
 * other expectations. Paths count as {@link portablePath} has them.
 */
export function fingerprint(run: NamedRun, profile: Profile | undefined, folders: BlobFolders): string {
  const { platform, machine, device, policy, queue, expect } = run;
  const uses = [platform, machine, device.use].map(({ use, options }) => ({ use, options }));
  const rest = profile && {
    memory: profile.memory,
    device: {
      interface: profile.device.interface,
      offers: profile.device.offers,
      misbehaves: profile.device.misbehaves,
      ...(isFullAddressing(profile.device.addressing) ? {} : { addressing: profile.device.addressing }),
    },
    driver: profile.driver,
    workload: { ...profile.workload, options: undefined },
    failures: profile.failures,
  };
  const parts = [uses, policy, queue, expect, rest, readable(profile?.workload.options)];
  const text = JSON.stringify(parts, (_, value: unknown) => {
    if (typeof value === 'bigint') return String(value);
    return typeof value === 'string' ? portablePath(value, folders) : value;
  });
  return createHash('sha256').update(text).digest('base64url').slice(0, 16);
}

/** What the schema of a device type made of the options; nothing where that is no data that has a text. */
function readable(options: unknown): unknown {
  try {
    JSON.stringify(options, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    return options;
  } catch {
    return undefined;
  }
}
