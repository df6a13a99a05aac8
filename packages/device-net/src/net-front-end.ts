import type { VhostUserDevice } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import { ConfigSpace } from '@virtio-platform/device-kit';
import { VIRTIO_NET_S_LINK_UP } from './layout.ts';
import { NET_CONFIG } from './net-config.ts';
import * as feature from './net-features.ts';
import { FrontEndControl } from './control/front-end-control.ts';
import { macBytes, type NetSettings } from './net-settings.ts';

/**
 * Features that a back-end may offer although the front-end has to have them (DPDK does, for QEMU's sake): they need a
 * control queue, or a field of the configuration, and this front-end adds those that it has. Section 5.1.3.
 */
const NEEDS_MORE = FeatureSet.of(
  feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  feature.VIRTIO_NET_F_MTU,
  feature.VIRTIO_NET_F_CTRL_VQ,
  feature.VIRTIO_NET_F_CTRL_RX,
  feature.VIRTIO_NET_F_CTRL_VLAN,
  feature.VIRTIO_NET_F_CTRL_RX_EXTRA,
  feature.VIRTIO_NET_F_GUEST_ANNOUNCE,
  feature.VIRTIO_NET_F_MQ,
  feature.VIRTIO_NET_F_CTRL_MAC_ADDR,
  feature.VIRTIO_NET_F_VQ_NOTF_COAL,
  feature.VIRTIO_NET_F_NOTF_COAL,
  feature.VIRTIO_NET_F_HASH_REPORT,
  feature.VIRTIO_NET_F_RSS,
  feature.VIRTIO_NET_F_SPEED_DUPLEX,
);

/**
 * A back-end of a network device has the packets only. The front-end has the address of the profile, a link that is
 * always up, and the MTU. Where profile and back-end have several pairs of queues it has the control queue too, as QEMU
 * does: for the number of pairs, and for nothing else. The back-end works on every pair from the start.
 */
export const vhostUserNet: VhostUserDevice<NetSettings> = {
  queues: 2,
  counted: 2,
  config: 'none',
  drains: false,
  frontEnd({ mac, mtu, queuePairs }, queues) {
    const pairs = Math.max(1, Math.min(queuePairs, queues >> 1));
    const config = new ConfigSpace(NET_CONFIG, 'little');
    config.setBytes(NET_CONFIG.mac, macBytes(mac));
    config.set(NET_CONFIG.status, VIRTIO_NET_S_LINK_UP);
    config.set(NET_CONFIG.max_virtqueue_pairs, pairs);
    config.set(NET_CONFIG.mtu, mtu ?? 0);
    let adds = FeatureSet.of(feature.VIRTIO_NET_F_MAC, feature.VIRTIO_NET_F_STATUS);
    if (mtu !== undefined) adds = adds.with(feature.VIRTIO_NET_F_MTU);
    if (pairs > 1) adds = adds.with(feature.VIRTIO_NET_F_CTRL_VQ).with(feature.VIRTIO_NET_F_MQ);
    return {
      adds,
      hides: NEEDS_MORE,
      queueCount: pairs > 1 ? 2 * pairs + 1 : 2,
      config: config.bytes.subarray(0, NET_CONFIG.mtu.offset + NET_CONFIG.mtu.width),
      control: pairs > 1 ? new FrontEndControl(pairs) : undefined,
      assumes: pairs > 1 ? FeatureSet.of(feature.VIRTIO_NET_F_MQ) : undefined,
    };
  },
};
