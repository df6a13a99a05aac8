import { NO_OFFLOAD, type Offload } from '../offload/net-header.ts';
import { shapeOf, writeFrame, type FrameShape, type TestFrame } from '../mixed/test-frame.ts';
import { IP_TCP, IP_UDP } from '../offload/packet-layers.ts';
import { VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_UDP_L4 } from '../layout.ts';
import { TCP_CHECKSUM, UDP_CHECKSUM } from '../offload/header-problem.ts';

/** An address that no device of a case has, and one that frames of a case come from. */
export const OTHER_ADDRESS = '02:00:5e:10:00:02';
/** See {@link OTHER_ADDRESS}. */
export const SENDER_ADDRESS = '02:00:5e:10:00:01';
/** All hosts. */
export const BROADCAST_ADDRESS = 'ff:ff:ff:ff:ff:ff';
/** A group that is not all hosts. */
export const GROUP_ADDRESS = '33:33:00:00:00:09';

/** The seed of the data of all frames. */
export const FRAME_SEED = 17;

/** What a frame is to be; what is left out is a local frame of 46 bytes of data. */
export type FrameOptions = Partial<Omit<TestFrame, 'offload'>> & {
  /** Of IP: whether the checksum is left to the device, or with a type that the device cuts the frame too. */
  readonly gsoType?: number;
};

/** A frame with all that the options leave out. */
export function testFrame({ gsoType = VIRTIO_NET_HDR_GSO_NONE, ...options }: FrameOptions): TestFrame {
  return {
    number: 1,
    to: BROADCAST_ADDRESS,
    from: SENDER_ADDRESS,
    vlan: -1,
    kind: 'local',
    protocol: IP_UDP,
    flow: 3,
    data: 46,
    ...options,
    offload: { ...NO_OFFLOAD, gsoType },
  };
}

/** Where the parts of a frame begin. */
export function frameShape(options: FrameOptions): FrameShape {
  return shapeOf(testFrame(options));
}

/** The bytes of a frame: with `isPartial` the checksum field has the sum of the pseudo-header only. */
export function frameOf(options: FrameOptions = {}, isPartial = false): Uint8Array {
  const frame = testFrame(options);
  const bytes = new Uint8Array(shapeOf(frame).length);
  writeFrame(frame, FRAME_SEED, bytes, isPartial);
  return bytes;
}

/** The header of a frame of IP whose checksum, and with a size whose segmentation, is left to the device. */
export function offloadOf(options: FrameOptions, gsoSize = 0): Offload {
  const { protocol } = testFrame(options);
  const { transport, data } = frameShape(options);
  return {
    flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
    gsoType: options.gsoType ?? VIRTIO_NET_HDR_GSO_NONE,
    headerLength: data,
    gsoSize,
    checksumStart: transport,
    checksumOffset: protocol === IP_TCP ? TCP_CHECKSUM : UDP_CHECKSUM,
  };
}

/** A frame of IP as large segments are: `data` bytes behind the headers, of the protocol of the type. */
export function largeFrame(gsoType: number, kind: 'ipv4' | 'ipv6', data: number): FrameOptions {
  const isUdp = gsoType === VIRTIO_NET_HDR_GSO_UDP_L4;
  return { kind, protocol: isUdp ? IP_UDP : IP_TCP, data, gsoType };
}
