import { FeatureRows } from '@virtio-platform/core/features';

/** The features of a network device (specification 1.4 section 5.1.3). */
export const NET_FEATURES: FeatureRows = new FeatureRows('virtio 1.4 §5.1.3.1');

const NO_UFO = 'it leaves no datagram to be fragmented (UFO): NET_HOST_USO and NET_GUEST_USO4 take its place';
const NO_TUNNELS = 'it knows the outer headers of a frame alone, and no packets inside of a tunnel';
const NO_COALESCING = 'it asks for notifications by the ring itself (RING_EVENT_IDX), and sets no time or count';

/** The driver hands packets with partial checksums to the device. Section 5.1.3. */
export const VIRTIO_NET_F_CSUM: number = NET_FEATURES.bit(0, 'NET_CSUM');
/** The driver takes packets with partial checksums. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_CSUM: number = NET_FEATURES.bit(1, 'NET_GUEST_CSUM');
/** Offloads of the receiving side change at run time. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_GUEST_OFFLOADS: number = NET_FEATURES.bit(2, 'NET_CTRL_GUEST_OFFLOADS');
/** The largest packet is in `mtu`. Section 5.1.3. */
export const VIRTIO_NET_F_MTU: number = NET_FEATURES.bit(3, 'NET_MTU');
/** The address is in `mac`. Section 5.1.3. */
export const VIRTIO_NET_F_MAC: number = NET_FEATURES.bit(5, 'NET_MAC');
/** Legacy: any segmentation offload, in both directions. Section 5.1.3.2. */
export const VIRTIO_NET_F_GSO: number = NET_FEATURES.bit(6, 'NET_GSO', {
  undriven: 'it takes one feature for each kind of segments in place of all together (virtio 1.4 §5.1.3.2)',
});
/** The driver takes TSOv4 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_TSO4: number = NET_FEATURES.bit(7, 'NET_GUEST_TSO4', {
  requires: [VIRTIO_NET_F_GUEST_CSUM],
});
/** The driver takes TSOv6 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_TSO6: number = NET_FEATURES.bit(8, 'NET_GUEST_TSO6', {
  requires: [VIRTIO_NET_F_GUEST_CSUM],
});
/** The driver takes TSO packets with ECN. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_ECN: number = NET_FEATURES.bit(9, 'NET_GUEST_ECN', {
  requires: [[VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6]],
});
/** The driver takes UFO packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_UFO: number = NET_FEATURES.bit(10, 'NET_GUEST_UFO', {
  requires: [VIRTIO_NET_F_GUEST_CSUM],
  undriven: NO_UFO,
});
/** The device takes TSOv4 packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_TSO4: number = NET_FEATURES.bit(11, 'NET_HOST_TSO4', { requires: [VIRTIO_NET_F_CSUM] });
/** The device takes TSOv6 packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_TSO6: number = NET_FEATURES.bit(12, 'NET_HOST_TSO6', { requires: [VIRTIO_NET_F_CSUM] });
/** The device takes TSO packets with ECN. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_ECN: number = NET_FEATURES.bit(13, 'NET_HOST_ECN', {
  requires: [[VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6]],
});
/** The device takes UFO packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_UFO: number = NET_FEATURES.bit(14, 'NET_HOST_UFO', {
  requires: [VIRTIO_NET_F_CSUM],
  undriven: NO_UFO,
});
/** A packet may be spread over several receive buffers. Section 5.1.3. */
export const VIRTIO_NET_F_MRG_RXBUF: number = NET_FEATURES.bit(15, 'NET_MRG_RXBUF');
/** The state of the link is in `status`. Section 5.1.3. */
export const VIRTIO_NET_F_STATUS: number = NET_FEATURES.bit(16, 'NET_STATUS');
/** The control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_VQ: number = NET_FEATURES.bit(17, 'NET_CTRL_VQ');
/** Receive modes, over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_RX: number = NET_FEATURES.bit(18, 'NET_CTRL_RX', { requires: [VIRTIO_NET_F_CTRL_VQ] });
/** VLAN filtering, over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_VLAN: number = NET_FEATURES.bit(19, 'NET_CTRL_VLAN', {
  requires: [VIRTIO_NET_F_CTRL_VQ],
});
/** More receive modes, over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_RX_EXTRA: number = NET_FEATURES.bit(20, 'NET_CTRL_RX_EXTRA');
/** The device asks for gratuitous packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_ANNOUNCE: number = NET_FEATURES.bit(21, 'NET_GUEST_ANNOUNCE', {
  requires: [VIRTIO_NET_F_CTRL_VQ],
});
/** Several pairs of receive and transmit queues. Section 5.1.3. */
export const VIRTIO_NET_F_MQ: number = NET_FEATURES.bit(22, 'NET_MQ', { requires: [VIRTIO_NET_F_CTRL_VQ] });
/** The address is set over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_CTRL_MAC_ADDR: number = NET_FEATURES.bit(23, 'NET_CTRL_MAC_ADDR', {
  requires: [VIRTIO_NET_F_CTRL_VQ],
});
/**
 * Legacy: the device coalesces TCPv6 packets. Section 5.1.3.2. Its sister for TCPv4, GUEST_RSC4, has bit 41, which now
 * is ADMIN_VQ.
 */
export const VIRTIO_NET_F_GUEST_RSC6: number = NET_FEATURES.bit(42, 'NET_GUEST_RSC6', {
  undriven: 'coalesced TCPv6 packets are of Windows drivers, as RSC_EXT is',
});
/** Statistics of the device, over the control virtqueue. Section 5.1.3. */
export const VIRTIO_NET_F_DEVICE_STATS: number = NET_FEATURES.bit(50, 'NET_DEVICE_STATS', {
  undriven: 'it counts its frames itself',
});
/** Notifications of each queue are coalesced by its own rule. Section 5.1.3. */
export const VIRTIO_NET_F_VQ_NOTF_COAL: number = NET_FEATURES.bit(52, 'NET_VQ_NOTF_COAL', {
  requires: [VIRTIO_NET_F_CTRL_VQ],
  undriven: NO_COALESCING,
});
/** Notifications are coalesced. Section 5.1.3. */
export const VIRTIO_NET_F_NOTF_COAL: number = NET_FEATURES.bit(53, 'NET_NOTF_COAL', {
  requires: [VIRTIO_NET_F_CTRL_VQ],
  undriven: NO_COALESCING,
});
/** The driver takes USOv4 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_USO4: number = NET_FEATURES.bit(54, 'NET_GUEST_USO4', {
  requires: [VIRTIO_NET_F_GUEST_CSUM],
});
/** The driver takes USOv6 packets. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_USO6: number = NET_FEATURES.bit(55, 'NET_GUEST_USO6', {
  requires: [VIRTIO_NET_F_GUEST_CSUM],
});
/** The device takes USO packets. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_USO: number = NET_FEATURES.bit(56, 'NET_HOST_USO', { requires: [VIRTIO_NET_F_CSUM] });
/** Received packets come with their hash. Section 5.1.3. */
export const VIRTIO_NET_F_HASH_REPORT: number = NET_FEATURES.bit(57, 'NET_HASH_REPORT');
/** The driver gives the exact length of headers. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_HDRLEN: number = NET_FEATURES.bit(59, 'NET_GUEST_HDRLEN', {
  undriven: 'it leaves hdr_len a hint, as the devices that do not offer this take it',
});
/** Receive-side scaling. Section 5.1.3. */
export const VIRTIO_NET_F_RSS: number = NET_FEATURES.bit(60, 'NET_RSS', { requires: [VIRTIO_NET_F_CTRL_VQ] });
/** Hashes of encapsulated packets. Section 5.1.3. */
export const VIRTIO_NET_F_HASH_TUNNEL: number = NET_FEATURES.bit(51, 'NET_HASH_TUNNEL', {
  requires: [VIRTIO_NET_F_CTRL_VQ, [VIRTIO_NET_F_RSS, VIRTIO_NET_F_HASH_REPORT]],
  undriven: NO_TUNNELS,
});
/** The device gives the number of coalesced segments. Section 5.1.3. */
export const VIRTIO_NET_F_RSC_EXT: number = NET_FEATURES.bit(61, 'NET_RSC_EXT', {
  requires: [[VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6]],
  undriven: 'the numbers of coalesced segments and ACKs are of Windows drivers, and Linux reads neither',
});
/** The device stands in for another with the same address. Section 5.1.3. */
export const VIRTIO_NET_F_STANDBY: number = NET_FEATURES.bit(62, 'NET_STANDBY', {
  undriven: 'there is no second device with the same address for it to stand in for',
});
/** Speed and duplex are in the configuration. Section 5.1.3. */
export const VIRTIO_NET_F_SPEED_DUPLEX: number = NET_FEATURES.bit(63, 'NET_SPEED_DUPLEX');
/** Several contexts of receive-side scaling. Section 5.1.3. */
export const VIRTIO_NET_F_RSS_CONTEXT: number = NET_FEATURES.bit(64, 'NET_RSS_CONTEXT', {
  requires: [VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_RSS],
  undriven: 'it has one context of receive-side scaling',
});
/** The driver takes GSO packets inside a UDP tunnel. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO: number = NET_FEATURES.bit(65, 'NET_GUEST_UDP_TUNNEL_GSO', {
  requires: [VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6],
  undriven: NO_TUNNELS,
});
/** The same with partial checksums of the outer header. Section 5.1.3. */
export const VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM: number = NET_FEATURES.bit(66, 'NET_GUEST_UDP_TUNNEL_GSO_CSUM', {
  requires: [VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO],
  undriven: NO_TUNNELS,
});
/** The device takes GSO packets inside a UDP tunnel. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO: number = NET_FEATURES.bit(67, 'NET_HOST_UDP_TUNNEL_GSO', {
  requires: [VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_USO],
  undriven: NO_TUNNELS,
});
/** The same with partial checksums of the outer header. Section 5.1.3. */
export const VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM: number = NET_FEATURES.bit(68, 'NET_HOST_UDP_TUNNEL_GSO_CSUM', {
  requires: [VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO],
  undriven: NO_TUNNELS,
});
/** The offset of the outer network header is in the packet's header. Section 5.1.3. */
export const VIRTIO_NET_F_OUT_NET_HEADER: number = NET_FEATURES.bit(69, 'NET_OUT_NET_HEADER', { undriven: NO_TUNNELS });
/** The device processes IPsec inline. Section 5.1.3. */
export const VIRTIO_NET_F_IPSEC: number = NET_FEATURES.bit(70, 'NET_IPSEC', {
  undriven: 'it neither encrypts nor decrypts packets (IPsec)',
});
