import type { MachinePlugin, PlatformPlugin } from '@virtio-platform/core';
import { hasRequesterId } from '@virtio-platform/core/features';
import { checkRefusal, checkTransportKind } from '../guard/checked-answer.ts';
import { runHookSync } from '../guard/run-hook.ts';
import { LocatedPluginError } from './plugin-error.ts';
import type { ChosenPlugin } from './plugin-use.ts';

/**
 * Throws {@link LocatedPluginError} `ERR_PLUGIN_TRANSPORT` where the platform needs a requester id, and the machine has
 * the device on a transport without one.
 */
export function checkTransport(platform: ChosenPlugin<PlatformPlugin>, machine: ChosenPlugin<MachinePlugin>): void {
  const bus = checkTransportKind(
    machine.use,
    runHookSync('machine', machine.use, 'transport', () => machine.plugin.transport?.(machine.options)),
  );
  if (bus === undefined || hasRequesterId(bus)) return;
  const { use, plugin, options } = platform;
  const why = checkRefusal(
    use,
    'needsRequesterId',
    runHookSync('platform', use, 'needsRequesterId', () => plugin.needsRequesterId?.(options)),
  );
  if (why === undefined) return;
  throw new LocatedPluginError('platform', use, {
    code: 'ERR_PLUGIN_TRANSPORT',
    message: `platform ${plugin.name} ${why}, and a device on ${bus} has none`,
    hint: `have machine ${machine.plugin.name} put the device on pci, or use a platform without an IOMMU`,
  });
}
