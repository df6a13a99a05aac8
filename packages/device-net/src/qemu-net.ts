import { CodedError, type QemuDevice } from '@virtio-platform/core';
import type { NetSettings } from './net-settings.ts';

/**
 * How QEMU makes a network device: `virtio-net-pci` on a network that gives back what it is sent. Such a network has
 * one pair of queues and no offloads. RSS and MTU are there for a profile that offers them. With a vhost-user back-end
 * the frames are that one's, in as many pairs as the settings have; address and commands are QEMU's, whose filters then
 * have no effect.
 */
export const qemuNet: QemuDevice<NetSettings> = {
  arguments({ mac, queuePairs, mtu, speed, duplex, events }, resources) {
    const { backEnd } = resources;
    if (queuePairs > 1 && backEnd === undefined) {
      const problem = 'the device of QEMU does not have more than one pair of queues for a network of this process';
      throw new CodedError('ERR_MACHINE_DEVICE', problem, {
        hint: 'give QEMU a vhost-user back-end by machine.backEnd, or use @virtio-platform/machine-simulated',
      });
    }
    if (events.length > 0) {
      throw new CodedError('ERR_MACHINE_DEVICE', 'the device of QEMU has no events of a profile (device.events)', {
        hint: 'leave it out of the device section, or use @virtio-platform/machine-simulated',
      });
    }
    const device = {
      driver: 'virtio-net-pci',
      netdev: 'network',
      mac,
      mq: true,
      rss: true,
      ...(mtu !== undefined && { host_mtu: mtu }),
      ...(speed !== undefined && { speed, duplex: duplex ?? 'full' }),
    };
    if (backEnd === undefined) {
      const packets = `dgram,id=network,local.type=fd,local.str=${resources.loopback('packets')}`;
      return { before: ['-netdev', packets], device };
    }
    const packets = `vhost-user,id=network,chardev=${backEnd},queues=${queuePairs}`;
    return { before: ['-netdev', packets], device };
  },
};
