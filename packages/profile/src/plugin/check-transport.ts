import type { MachinePlugin, PlatformPlugin } from '@virtio-platform/core';
import { hasRequesterId, ONE_INTERFACE_HINT, transitionalProblem, type BusKind } from '@virtio-platform/core/features';
import { checkRefusal, checkTransportKind } from '../guard/checked-answer.ts';
import { runHookSync } from '../guard/run-hook.ts';
import type { DeviceSection, PluginUse } from '../schema/profile.ts';
import { issueAt } from '../source/profile-issue.ts';
import { LocatedPluginError } from './plugin-error.ts';
import type { ChosenPlugin } from './plugin-use.ts';

/** What a device has to do with its transport. */
export type TransportedDevice = Pick<DeviceSection, 'use' | 'interface'>;

/**
 * Throws {@link LocatedPluginError} `ERR_PLUGIN_TRANSPORT` where the machine has the device on a transport on which it
 * cannot have its interfaces, or which lacks the requester id that the platform needs.
 */
export function checkTransport(
  platform: ChosenPlugin<PlatformPlugin>,
  machine: ChosenPlugin<MachinePlugin>,
  device: TransportedDevice | undefined,
): void {
  const bus = checkTransportKind(
    machine.use,
    runHookSync('machine', machine.use, 'transport', () => machine.plugin.transport?.(machine.options)),
  );
  if (bus === undefined) return;
  if (device?.interface === 'transitional') checkTransitional(device.use, bus);
  if (!hasRequesterId(bus)) checkRequesterId(platform, machine, bus);
}

function checkTransitional(use: PluginUse, bus: BusKind): void {
  const message = transitionalProblem(bus);
  if (message === undefined) return;
  const code = 'ERR_PLUGIN_TRANSPORT';
  const place = { location: use.locate(['interface'], 'value'), text: 'transitional' };
  const issue = issueAt(place, ['device', 'interface'], message, { code });
  throw new LocatedPluginError('device', use, { code, message, hint: ONE_INTERFACE_HINT }, [issue]);
}

function checkRequesterId(
  { use, plugin, options }: ChosenPlugin<PlatformPlugin>,
  machine: ChosenPlugin<MachinePlugin>,
  bus: BusKind,
): void {
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
