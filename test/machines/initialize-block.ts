import type { Platform } from '@virtio-platform/core';
import { initializeDevice } from '@virtio-platform/core/device';
import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import type { ComposedRun } from '@virtio-platform/profile';
import { supportedFeatures } from '@virtio-platform/session';

/** Resets the disk of a run and negotiates its features, as the kernel of `platform`: that of the run unless given. */
export function initializeBlock(run: ComposedRun, platform: Platform = run.platform): NegotiationResult {
  const { machine, profile } = run;
  return initializeDevice(machine.transport, {
    deviceFeatures: BLOCK_FEATURES,
    supported: supportedFeatures(profile),
    traits: platform.traits,
    rules: platform.rules,
    privilege: 'kernel',
    policy: profile.policy,
  });
}
