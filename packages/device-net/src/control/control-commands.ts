/** Class of the receive modes. Section 5.1.6.5.1. */
export const VIRTIO_NET_CTRL_RX = 0;
/** Every packet is received. Section 5.1.6.5.1. */
export const VIRTIO_NET_CTRL_RX_PROMISC = 0;
/** Every multicast packet is received. Section 5.1.6.5.1. */
export const VIRTIO_NET_CTRL_RX_ALLMULTI = 1;
/** Every unicast packet is received; from here on with CTRL_RX_EXTRA. Section 5.1.6.5.1. */
export const VIRTIO_NET_CTRL_RX_ALLUNI = 2;
/** No multicast packet is received. Section 5.1.6.5.1. */
export const VIRTIO_NET_CTRL_RX_NOMULTI = 3;
/** No unicast packet is received. Section 5.1.6.5.1. */
export const VIRTIO_NET_CTRL_RX_NOUNI = 4;
/** No broadcast packet is received. Section 5.1.6.5.1. */
export const VIRTIO_NET_CTRL_RX_NOBCAST = 5;

/** Class of addresses. Section 5.1.6.5.2. */
export const VIRTIO_NET_CTRL_MAC = 1;
/** The tables of unicast and multicast addresses. Section 5.1.6.5.2. */
export const VIRTIO_NET_CTRL_MAC_TABLE_SET = 0;
/** The address of the device, with CTRL_MAC_ADDR. Section 5.1.6.5.2. */
export const VIRTIO_NET_CTRL_MAC_ADDR_SET = 1;

/** Class of the VLAN filter. Section 5.1.6.5.3. */
export const VIRTIO_NET_CTRL_VLAN = 2;
/** Packets of a VLAN are received. Section 5.1.6.5.3. */
export const VIRTIO_NET_CTRL_VLAN_ADD = 0;
/** Packets of a VLAN are received no longer. Section 5.1.6.5.3. */
export const VIRTIO_NET_CTRL_VLAN_DEL = 1;

/** Class of announcements. Section 5.1.6.5.4. */
export const VIRTIO_NET_CTRL_ANNOUNCE = 3;
/** The driver saw that it is asked to announce itself. Section 5.1.6.5.4. */
export const VIRTIO_NET_CTRL_ANNOUNCE_ACK = 0;

/** Class of queue pairs. Section 5.1.6.5.5. */
export const VIRTIO_NET_CTRL_MQ = 4;
/** The number of queue pairs. Section 5.1.6.5.5. */
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0;
/** Receive-side scaling. Section 5.1.6.5.7. */
export const VIRTIO_NET_CTRL_MQ_RSS_CONFIG = 1;
/** Hashes in headers, without receive-side scaling. Section 5.1.6.5.6. */
export const VIRTIO_NET_CTRL_MQ_HASH_CONFIG = 2;

/** Class of the offloads of the receiving side. Section 5.1.6.5.8. */
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5;
/** The offloads that are on, by their feature bits. Section 5.1.6.5.8. */
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET = 0;

/** Number of VLANs: the identifier has 12 bits. */
export const VLANS = 4096;
/** Most addresses in each table of the device; with more it receives all of that kind, as QEMU's does. */
export const MOST_ADDRESSES = 64;
