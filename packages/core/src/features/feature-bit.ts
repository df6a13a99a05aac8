/**
 * Feature bit numbers with the spelling of the specification (1.4 sections 5 and 6), so that they can be searched for
 * there and in Linux. A profile writes the same names without `VIRTIO_` and `F_`: `VERSION_1`, `RING_EVENT_IDX`, `BLK_FLUSH`.
 */

/** Transitional: the device notifies when the ring runs empty even if suppressed. Section 6.3. */
export const VIRTIO_F_NOTIFY_ON_EMPTY = 24;
/** Transitional: the device accepts any descriptor layout. Section 6.3. */
export const VIRTIO_F_ANY_LAYOUT = 27;
/** Descriptors may refer to a table of descriptors. Section 6. */
export const VIRTIO_RING_F_INDIRECT_DESC = 28;
/** used_event and avail_event are in use. Section 6. */
export const VIRTIO_RING_F_EVENT_IDX = 29;
/** The device follows specification 1.0 or later. Section 6. */
export const VIRTIO_F_VERSION_1 = 32;
/** The device's access to memory is limited or translated by the platform. Section 6; named IOMMU_PLATFORM until 2018. */
export const VIRTIO_F_ACCESS_PLATFORM = 33;
/** The packed virtqueue layout. Section 6. */
export const VIRTIO_F_RING_PACKED = 34;
/** The device uses buffers in the order in which they were made available. Section 6. */
export const VIRTIO_F_IN_ORDER = 35;
/** Memory accesses are ordered as the platform describes, not only between processors. Section 6. */
export const VIRTIO_F_ORDER_PLATFORM = 36;
/** Single root I/O virtualisation. Section 6. */
export const VIRTIO_F_SR_IOV = 37;
/** Available buffer notifications carry extra data. Section 6. */
export const VIRTIO_F_NOTIFICATION_DATA = 38;
/** The notification carries a value that the device chose. Section 6. */
export const VIRTIO_F_NOTIF_CONFIG_DATA = 39;
/** Queues can be reset one by one. Section 6. */
export const VIRTIO_F_RING_RESET = 40;
/** Administration virtqueues. Section 6. */
export const VIRTIO_F_ADMIN_VQ = 41;
/** The device can be suspended. Section 6, new in 1.4. */
export const VIRTIO_F_SUSPEND = 43;

/** Largest size of a single segment is in `size_max`. Section 5.2.3. */
export const VIRTIO_BLK_F_SIZE_MAX = 1;
/** Largest number of segments in a request is in `seg_max`. Section 5.2.3. */
export const VIRTIO_BLK_F_SEG_MAX = 2;
/** Disk-style geometry in `geometry`. Section 5.2.3. */
export const VIRTIO_BLK_F_GEOMETRY = 4;
/** The device is read-only. Section 5.2.3. */
export const VIRTIO_BLK_F_RO = 5;
/** Block size in `blk_size`. Section 5.2.3. */
export const VIRTIO_BLK_F_BLK_SIZE = 6;
/** Legacy: SCSI passthrough. Section 5.2.3.1. */
export const VIRTIO_BLK_F_SCSI = 7;
/** The flush command. Section 5.2.3. */
export const VIRTIO_BLK_F_FLUSH = 9;
/** Optimal I/O alignment in `topology`. Section 5.2.3. */
export const VIRTIO_BLK_F_TOPOLOGY = 10;
/** The cache can be toggled between writeback and writethrough. Section 5.2.3. */
export const VIRTIO_BLK_F_CONFIG_WCE = 11;
/** Several request queues. Section 5.2.3. */
export const VIRTIO_BLK_F_MQ = 12;
/** The discard command. Section 5.2.3. */
export const VIRTIO_BLK_F_DISCARD = 13;
/** The write zeroes command. Section 5.2.3. */
export const VIRTIO_BLK_F_WRITE_ZEROES = 14;

/** The driver hands packets with partial checksums to the device. Section 5.1.3. */
export const VIRTIO_NET_F_CSUM = 0;
/** The driver takes packets with partial checksums. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_CSUM = 1;
/** Offloads of the receiving side change at run time. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2;
/** The largest packet is in `mtu`. Section 5.1.3. */
export const VIRTIO_NET_F_MTU = 3;
/** The address is in `mac`. Section 5.1.3. */
export const VIRTIO_NET_F_MAC = 5;
/** Legacy: any segmentation offload, in both directions. Section 5.1.3.2. */
export const VIRTIO_NET_F_GSO = 6;
/** The driver takes TSOv4 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_TSO4 = 7;
/** The driver takes TSOv6 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_TSO6 = 8;
/** The driver takes TSO packets with ECN. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_ECN = 9;
/** The driver takes UFO packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_UFO = 10;
/** The device takes TSOv4 packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_TSO4 = 11;
/** The device takes TSOv6 packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_TSO6 = 12;
/** The device takes TSO packets with ECN. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_ECN = 13;
/** The device takes UFO packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_UFO = 14;
/** A packet may be spread over several receive buffers. Section 5.1.3. */
export const VIRTIO_NET_F_MRG_RXBUF = 15;
/** The state of the link is in `status`. Section 5.1.3. */
export const VIRTIO_NET_F_STATUS = 16;
/** The control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_VQ = 17;
/** Receive modes, over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_RX = 18;
/** VLAN filtering, over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_VLAN = 19;
/** More receive modes, over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_RX_EXTRA = 20;
/** The device asks for gratuitous packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_ANNOUNCE = 21;
/** Several pairs of receive and transmit queues. Section 5.1.3. */
export const VIRTIO_NET_F_MQ = 22;
/** The address is set over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_MAC_ADDR = 23;
/** Hashes of encapsulated packets. Section 5.1.3. */
export const VIRTIO_NET_F_HASH_TUNNEL = 51;
/** Notifications of each queue are coalesced by its own rule. Section 5.1.3. */
export const VIRTIO_NET_F_VQ_NOTF_COAL = 52;
/** Notifications are coalesced. Section 5.1.3. */
export const VIRTIO_NET_F_NOTF_COAL = 53;
/** The driver takes USOv4 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_USO4 = 54;
/** The driver takes USOv6 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_USO6 = 55;
/** The device takes USO packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_USO = 56;
/** Received packets come with their hash. Section 5.1.3. */
export const VIRTIO_NET_F_HASH_REPORT = 57;
/** The driver gives the exact length of headers. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_HDRLEN = 59;
/** Receive-side scaling. Section 5.1.3. */
export const VIRTIO_NET_F_RSS = 60;
/** The device gives the number of coalesced segments. Section 5.1.3. */
export const VIRTIO_NET_F_RSC_EXT = 61;
/** The device stands in for another with the same address. Section 5.1.3. */
export const VIRTIO_NET_F_STANDBY = 62;
/** Speed and duplex are in the configuration. Section 5.1.3. */
export const VIRTIO_NET_F_SPEED_DUPLEX = 63;
/** Several contexts of receive-side scaling. Section 5.1.3. */
export const VIRTIO_NET_F_RSS_CONTEXT = 64;
/** The driver takes GSO packets inside a UDP tunnel. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO = 65;
/** The same with partial checksums of the outer header. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM = 66;
/** The device takes GSO packets inside a UDP tunnel. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO = 67;
/** The same with partial checksums of the outer header. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM = 68;

/** The size of the console is in `cols` and `rows`. Section 5.3.3. */
export const VIRTIO_CONSOLE_F_SIZE = 0;
/** Several ports, and control virtqueues for them. Section 5.3.3. */
export const VIRTIO_CONSOLE_F_MULTIPORT = 1;
/** Characters can be written to `emerg_wr` before anything else works. Section 5.3.3. */
export const VIRTIO_CONSOLE_F_EMERG_WRITE = 2;
