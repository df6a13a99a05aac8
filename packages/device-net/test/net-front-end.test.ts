import { FeatureSet } from '@virtio-platform/core/features';
import net, {
  NET_CONFIG,
  NET_DRIVER_FEATURES,
  NET_FEATURES,
  NET_SETTINGS,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS,
} from '@virtio-platform/device-net';
import { describe, expect, it } from 'vitest';

/** Fields that the front-end has: of features that it adds. */
const OWN: readonly string[] = ['mac', 'status'];

describe('the front-end of a vhost-user network device', () => {
  const settings = NET_SETTINGS.parse({ mac: '02:00:00:00:AB:cd' });
  const front = net.vhostUser!.frontEnd!(settings, 256);

  it('has the address of the profile and a link that is up, and no more configuration', () => {
    expect([...front.config]).toEqual([2, 0, 0, 0, 0xab, 0xcd, 1, 0, 1, 0, 0, 0]);
    expect([...front.adds].toSorted((a, b) => a - b)).toEqual([VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS]);
  });

  it('has the pairs of queues that profile and back-end have, and a control queue for more than one', () => {
    const several = NET_SETTINGS.parse({ queuePairs: 4, mtu: 1500 });
    for (const [queues, count] of [
      [256, 9],
      [6, 7],
      [3, 2],
      [2, 2],
      [1, 2],
    ] as const) {
      const { queueCount, control, adds, config } = net.vhostUser!.frontEnd!(several, queues);
      expect(queueCount, `${queues} queues`).toBe(count);
      const hasControl = count > 2;
      expect(control !== undefined).toBe(hasControl);
      expect([adds.has(VIRTIO_NET_F_CTRL_VQ), adds.has(VIRTIO_NET_F_MQ)]).toEqual([hasControl, hasControl]);
      expect(adds.has(VIRTIO_NET_F_MTU)).toBe(true);
      expect([...config.subarray(8)]).toEqual([count >> 1, 0, 0xdc, 5]);
    }
  });

  it('has one pair of queues unless the profile asks for more, and each pair counts as two', () => {
    expect([front.queueCount, net.vhostUser!.queues, net.vhostUser!.counted]).toEqual([2, 2, 2]);
  });

  it('hides what needs a control queue or a field that it does not have, and nothing else', () => {
    const withFields = Object.entries(NET_CONFIG)
      .filter(([name]) => !OWN.includes(name))
      .flatMap(([, { feature = [] }]) => feature);
    const withControl = NET_FEATURES.rows
      .filter(({ requires = [] }) => requires.flat().includes(VIRTIO_NET_F_CTRL_VQ))
      .map(({ bit }) => bit);
    const needsMore = FeatureSet.of(VIRTIO_NET_F_CTRL_VQ, ...withFields, ...withControl);
    // What the driver half does not know is never accepted.
    for (const bit of needsMore.and(NET_DRIVER_FEATURES)) expect(front.hides.has(bit), `bit ${bit}`).toBe(true);
    for (const bit of [VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MRG_RXBUF])
      expect(front.hides.has(bit)).toBe(false);
    for (const bit of [VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_HOST_TSO4])
      expect(front.hides.has(bit)).toBe(false);
  });

  it('keeps a back-end from its configuration, and waits for no buffer in flight', () => {
    expect([net.vhostUser!.config, net.vhostUser!.drains]).toEqual(['none', false]);
  });
});
