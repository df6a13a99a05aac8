import { FeatureSet } from '@virtio-platform/core/features';
import * as feature from './net-features.ts';
import { GUEST_OFFLOADS, HOST_OFFLOADS } from './offload/offload-set.ts';

/** Features that both halves have; a device half offers them whatever its settings are. */
export const FEATURES_OF_BOTH_HALVES: FeatureSet = new FeatureSet(
  FeatureSet.of(
    feature.VIRTIO_NET_F_MAC,
    feature.VIRTIO_NET_F_MRG_RXBUF,
    feature.VIRTIO_NET_F_STATUS,
    feature.VIRTIO_NET_F_CTRL_VQ,
    feature.VIRTIO_NET_F_CTRL_RX,
    feature.VIRTIO_NET_F_CTRL_RX_EXTRA,
    feature.VIRTIO_NET_F_CTRL_VLAN,
    feature.VIRTIO_NET_F_CTRL_MAC_ADDR,
    feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
    feature.VIRTIO_NET_F_GUEST_ANNOUNCE,
    feature.VIRTIO_NET_F_HASH_REPORT,
    feature.VIRTIO_NET_F_RSS,
  ).bits |
    HOST_OFFLOADS.bits |
    GUEST_OFFLOADS.bits,
);
