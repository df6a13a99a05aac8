/** Bit of `status`: the link is up. Section 5.1.4. */
export const VIRTIO_NET_S_LINK_UP = 1;
/** Bit of `status`: the device asks for gratuitous packets. Section 5.1.4. */
export const VIRTIO_NET_S_ANNOUNCE = 2;

/** Bytes in front of every packet, with `num_buffers` where it exists. Section 5.1.6. */
export const NET_HEADER_SIZE = 12;
/** On the legacy interface without MRG_RXBUF there is no `num_buffers`. Section 5.1.6.1. */
export const NET_LEGACY_HEADER_SIZE = 10;
/** With HASH_REPORT: `hash_value`, `hash_report` and padding follow `num_buffers`. Section 5.1.6. */
export const NET_HASH_HEADER_SIZE = 20;
/** Where the fields of the header are. Section 5.1.6. */
export const NET_FLAGS = 0;
/** See {@link NET_FLAGS}. */
export const NET_GSO_TYPE = 1;
/** See {@link NET_FLAGS}. */
export const NET_HDR_LEN = 2;
/** See {@link NET_FLAGS}. */
export const NET_GSO_SIZE = 4;
/** See {@link NET_FLAGS}. */
export const NET_CSUM_START = 6;
/** See {@link NET_FLAGS}. */
export const NET_CSUM_OFFSET = 8;
/** Where `num_buffers` is in the header. */
export const NET_NUM_BUFFERS = 10;
/** Where `hash_value` is in the header. */
export const NET_HASH_VALUE = 12;
/** Where `hash_report` is in the header. */
export const NET_HASH_REPORT_AT = 16;

/** Bit of `flags`: the checksum at `csum_offset` is still to be computed. Section 5.1.6. */
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
/** Bit of `flags`: the device checked the checksum. Section 5.1.6. */
export const VIRTIO_NET_HDR_F_DATA_VALID = 2;
/** `gso_type`: one packet of the wire. Section 5.1.6. */
export const VIRTIO_NET_HDR_GSO_NONE = 0;
/** `gso_type`: TCP over IPv4. Section 5.1.6. */
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
/** `gso_type`: UDP fragments. No half of this package has UFO. Section 5.1.6. */
export const VIRTIO_NET_HDR_GSO_UDP = 3;
/** `gso_type`: TCP over IPv6. Section 5.1.6. */
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
/** `gso_type`: UDP datagrams of `gso_size` bytes each. Section 5.1.6. */
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5;
/** Added to a `gso_type` of TCP: the packet has CWR set. Section 5.1.6. */
export const VIRTIO_NET_HDR_GSO_ECN = 0x80;

/** Bytes of an Ethernet header: no packet is shorter. */
export const ETHERNET_HEADER = 14;
/** Bytes of a VLAN tag behind an Ethernet header. */
export const VLAN_TAG = 4;
/** Longest packet that the halves of this package take, without its header: an IP packet of 65,535 bytes, tagged. */
export const NET_LONGEST_PACKET = 65_553;
/** Fewest bytes of a receive buffer that takes a whole packet without offloads, with its header. Section 5.1.6.3.1. */
export const NET_RECEIVE_BUFFER = 1526;

/** A command: class, command, its data; and the acknowledgement. Section 5.1.6.5. */
export const NET_COMMAND_SIZE = 2;
/** Acknowledgement of a control command: done. Section 5.1.6.5. */
export const VIRTIO_NET_OK = 0;
/** Acknowledgement of a control command: failed. Section 5.1.6.5. */
export const VIRTIO_NET_ERR = 1;
/** Most pairs of queues that the device of this package has. */
export const NET_MAX_QUEUE_PAIRS = 15;
/** Bytes of a MAC address. */
export const MAC_BYTES = 6;
