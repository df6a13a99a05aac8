import { tmpdir } from 'node:os';
import { deviceDescription } from '@virtio-platform/conformance/testing';
import type { BootedMachine, MachineRequest } from '@virtio-platform/core';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import net from '@virtio-platform/device-net';
import { simulateVfio, VFIO_CONTAINER, vfioOptionsSchema } from '@virtio-platform/platform-vfio';
import type { IotlbPolicy, VhostUserOptions } from '../src/options.ts';
import { VhostUserMachine } from '../src/vhost-user-machine.ts';

const MEMORY: number = 4 << 20;

export const OFFERS: FeatureSet = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED);

export interface NetOptions {
  readonly iotlb?: Partial<IotlbPolicy>;
  readonly offers?: FeatureSet | 'all';
  readonly machine?: Partial<VhostUserOptions>;
}

/**
 * Boots a network device on the back-end, in front of a process's container, hands over, and ends it on every way out.
 */
export async function withNetDevice(
  program: string,
  { iotlb, offers = OFFERS, machine }: NetOptions,
  use: (machine: BootedMachine) => void | Promise<void>,
): Promise<void> {
  const request: MachineRequest = {
    memory: MEMORY,
    device: deviceDescription(net, { mac: '52:54:00:12:34:56' }, { offers: offers === 'all' ? undefined : offers }),
    needs: [VFIO_CONTAINER],
    simulate: (memory) => simulateVfio(memory, vfioOptionsSchema.parse({})),
    baseDirectory: tmpdir(),
  };
  const booted = await new VhostUserMachine(request, {
    command: [program, '{socket}'],
    startTimeout: 20_000,
    replyTimeout: 5000,
    iotlb: { fill: 'on-miss', writeImpliesRead: true, ...iotlb },
    ...machine,
  }).boot();
  try {
    await use(booted);
  } finally {
    await booted.dispose();
  }
}
