import { CodedError, type QemuDevice } from '@virtio-platform/core';
import type { NetSettings } from './net-settings.ts';

/**
 * How QEMU makes a network device: `virtio-net-pci` on a network that gives back what it is sent. Such a network has
 * one pair of queues and no offloads. RSS and MTU are there for a profile that offers them.
 */
export const qemuNet: QemuDevice<NetSettings> = {
  arguments({ mac, queuePairs, mtu, speed, duplex, events }, resources) {
    if (queuePairs > 1) {
      const problem = 'the device of QEMU does not have more than one pair of queues for a network of this process';
      throw new CodedError('ERR_MACHINE_DEVICE', problem, {
        hint: 'leave it out of the device section, or use @virtio-platform/machine-simulated',
      });
    }
    if (events.length > 0) {
      throw new CodedError('ERR_MACHINE_DEVICE', 'the device of QEMU has no events of a profile (device.events)', {
        hint: 'leave it out of the device section, or use @virtio-platform/machine-simulated',
      });
    }
    const packets = `dgram,id=network,local.type=fd,local.str=${resources.loopback('packets')}`;
    const device = {
      driver: 'virtio-net-pci',
      netdev: 'network',
      mac,
      mq: true,
      rss: true,
      ...(mtu !== undefined && { host_mtu: mtu }),
      ...(speed !== undefined && { speed, duplex: duplex ?? 'full' }),
    };
    return { before: ['-netdev', packets], device };
  },
};
