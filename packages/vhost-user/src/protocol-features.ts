import {
  FeatureSet,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_SUSPEND,
} from '@virtio-platform/core/features';

/** The bits of protocol features by their names in the specification ("Protocol features"). */
const BITS = {
  MQ: 0,
  LOG_SHMFD: 1,
  REPLY_ACK: 3,
  BACKEND_REQ: 5,
  CONFIG: 9,
  INFLIGHT_SHMFD: 12,
  RESET_DEVICE: 13,
  CONFIGURE_MEM_SLOTS: 15,
  STATUS: 16,
} as const;
/** The name of a protocol feature. */
export type ProtocolFeatureName = keyof typeof BITS;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of the table are the names
const NAMES = Object.keys(BITS) as readonly ProtocolFeatureName[];

/** The mask of protocol features by name. */
export function protocolFeatures(...names: readonly ProtocolFeatureName[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(BITS[name])), 0n);
}

/** The names of the protocol features in a mask; a bit without a name is left out. */
export function protocolFeatureNames(mask: bigint): readonly ProtocolFeatureName[] {
  return NAMES.filter((name) => (mask & protocolFeatures(name)) !== 0n);
}

/** Feature bit of vhost among the device's: dirty page logging. A driver never sees it. */
export const VHOST_F_LOG_ALL = 26;
/** Feature bit of vhost-user among the device's: protocol features. A driver never sees it. */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;

/**
 * The features of a device that the protocol carries. Feature bits are one 64-bit word. Left out are the protocol's
 * own, and those that need registers or notifications that the protocol does not have.
 */
export const VHOST_USER_CARRIES: FeatureSet = new FeatureSet(2n ** 64n - 1n).minus(
  FeatureSet.of(
    VHOST_F_LOG_ALL,
    VHOST_USER_F_PROTOCOL_FEATURES,
    VIRTIO_F_SR_IOV,
    VIRTIO_F_NOTIFICATION_DATA,
    VIRTIO_F_NOTIF_CONFIG_DATA,
    VIRTIO_F_RING_RESET,
    VIRTIO_F_ADMIN_VQ,
    VIRTIO_F_SUSPEND,
  ),
);
