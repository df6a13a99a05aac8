import { checkPlugins, loadProfile } from '@virtio-platform/profile';

/**
 * Loads a profile of an entropy device, and has its plugins checked against each other, as `check` does. Resolves to
 * the error, or to `undefined`. What is left out is the platform without an IOMMU, and the embedded machine.
 */
export async function pluginError(platform: object, machine: object, device: object = {}): Promise<unknown> {
  try {
    await checkPlugins(
      await loadProfile({
        profile: 'checked',
        platform: { use: '@virtio-platform/platform-legacy', ...platform },
        machine: { use: '@virtio-platform/machine-simulated', memory: '256MiB', ...machine },
        device: { type: 'entropy', ...device },
        workload: { kind: 'read', requests: 1, depth: 1, blockSize: '64B' },
      }),
    );
    return undefined;
  } catch (error) {
    return error;
  }
}
