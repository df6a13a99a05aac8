import type { ConformBench } from '@virtio-platform/core';
import { DeviceStatus, greetDevice, readDeviceStatus } from '@virtio-platform/core/device';

/** How far a device is brought up; `failed` is one that ran and was given up. */
export const DEVICE_STATES = ['reset', 'acknowledged', 'driver', 'features-ok', 'live', 'failed'] as const;
/** One of {@link DEVICE_STATES}. */
export type DeviceState = (typeof DEVICE_STATES)[number];

/** What a device is that is in a state, in words. */
export const STATE_WORDS: Readonly<Record<DeviceState, string>> = {
  reset: 'reset',
  acknowledged: 'acknowledged only',
  driver: 'in negotiation',
  'features-ok': 'negotiated and not started',
  live: 'at work',
  failed: 'given up',
};

/** Brings the device to a state. */
export async function enterState(bench: ConformBench, state: DeviceState): Promise<void> {
  const { transport } = bench;
  if (state === 'reset' || state === 'acknowledged') await bench.reset();
  if (state === 'acknowledged') transport.writeStatus(DeviceStatus.Acknowledge);
  if (state === 'driver') greetDevice(transport);
  if (state === 'features-ok') await bench.start({ isHeld: true });
  if (state === 'live' || state === 'failed') await bench.start();
  if (state === 'failed') transport.writeStatus(readDeviceStatus(transport) | DeviceStatus.Failed);
}
