import { FeatureRows } from './feature-rows.ts';

/**
 * The bits of queues and negotiation (specification 1.4 section 6), which every device type has. Constants have the
 * spelling of the specification, so that they can be searched for there and in Linux. Bits above 31 exist only on the
 * modern interface, so each requires VERSION_1.
 */
export const RESERVED_FEATURES: FeatureRows = new FeatureRows(
  'virtio 1.4 §4.1.4.10: bits above 31 exist only on the modern interface',
);

/** Transitional: the device notifies when the ring runs empty even if suppressed. Section 6.3. */
export const VIRTIO_F_NOTIFY_ON_EMPTY: number = RESERVED_FEATURES.bit(24, 'NOTIFY_ON_EMPTY');
/** Transitional: the device accepts any descriptor layout. Section 6.3. */
export const VIRTIO_F_ANY_LAYOUT: number = RESERVED_FEATURES.bit(27, 'ANY_LAYOUT');
/** Descriptors may refer to a table of descriptors. Section 6. */
export const VIRTIO_RING_F_INDIRECT_DESC: number = RESERVED_FEATURES.bit(28, 'RING_INDIRECT_DESC');
/** used_event and avail_event are in use. Section 6. */
export const VIRTIO_RING_F_EVENT_IDX: number = RESERVED_FEATURES.bit(29, 'RING_EVENT_IDX');
/** The device follows specification 1.0 or later. Section 6. */
export const VIRTIO_F_VERSION_1: number = RESERVED_FEATURES.bit(32, 'VERSION_1');
/**
 * The device's access to memory is limited or translated by the platform. Section 6; named IOMMU_PLATFORM until 2018.
 */
export const VIRTIO_F_ACCESS_PLATFORM: number = RESERVED_FEATURES.bit(33, 'ACCESS_PLATFORM', {
  requires: [VIRTIO_F_VERSION_1],
});
/** The packed virtqueue layout. Section 6. */
export const VIRTIO_F_RING_PACKED: number = RESERVED_FEATURES.bit(34, 'RING_PACKED', {
  requires: [VIRTIO_F_VERSION_1],
});
/** The device uses buffers in the order in which they were made available. Section 6. */
export const VIRTIO_F_IN_ORDER: number = RESERVED_FEATURES.bit(35, 'IN_ORDER', { requires: [VIRTIO_F_VERSION_1] });
/** Memory accesses are ordered as the platform describes, not only between processors. Section 6. */
export const VIRTIO_F_ORDER_PLATFORM: number = RESERVED_FEATURES.bit(36, 'ORDER_PLATFORM', {
  requires: [VIRTIO_F_VERSION_1],
});
/** Single root I/O virtualisation. Section 6. */
export const VIRTIO_F_SR_IOV: number = RESERVED_FEATURES.bit(37, 'SR_IOV', {
  requires: [VIRTIO_F_VERSION_1],
  absentOn: { mmio: 'virtio 1.4 §6.1', 'channel-io': 'virtio 1.4 §6.1' },
});
/** Available buffer notifications carry extra data. Section 6. */
export const VIRTIO_F_NOTIFICATION_DATA: number = RESERVED_FEATURES.bit(38, 'NOTIFICATION_DATA', {
  requires: [VIRTIO_F_VERSION_1],
});
/** The notification carries a value that the device chose. Section 6. */
export const VIRTIO_F_NOTIF_CONFIG_DATA: number = RESERVED_FEATURES.bit(39, 'NOTIF_CONFIG_DATA', {
  requires: [VIRTIO_F_VERSION_1],
  absentOn: { mmio: 'virtio 1.4 §4.2.2: it has no register for the value' },
});
/** Queues can be reset one by one. Section 6. */
export const VIRTIO_F_RING_RESET: number = RESERVED_FEATURES.bit(40, 'RING_RESET', {
  requires: [VIRTIO_F_VERSION_1],
  absentOn: { 'channel-io': 'virtio 1.4 §4.3.4' },
});
/** Administration virtqueues. Section 6. */
export const VIRTIO_F_ADMIN_VQ: number = RESERVED_FEATURES.bit(41, 'ADMIN_VQ', {
  requires: [VIRTIO_F_VERSION_1],
  absentOn: { mmio: 'virtio 1.4 §4.2.5', 'channel-io': 'virtio 1.4 §4.3.4' },
});
/** The device can be suspended. Section 6, new in 1.4. */
export const VIRTIO_F_SUSPEND: number = RESERVED_FEATURES.bit(43, 'SUSPEND', { requires: [VIRTIO_F_VERSION_1] });
