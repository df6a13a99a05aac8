import {
  guestOffloads,
  GUEST_OFFLOADS,
  headerProblem,
  NO_OFFLOAD,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP,
  VIRTIO_NET_HDR_GSO_UDP_L4,
  type HeaderProblem,
  type Offload,
} from '@virtio-platform/device-net';
import { FeatureSet } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { testFrame } from '../frames.ts';

const ALL = guestOffloads(GUEST_OFFLOADS);
const NONE = guestOffloads(FeatureSet.EMPTY);
const { bytes, layers } = testFrame({ payload: 4000 });
const PARTIAL: Offload = { ...NO_OFFLOAD, flags: VIRTIO_NET_HDR_F_NEEDS_CSUM, checksumStart: 34, checksumOffset: 16 };
const TSO: Offload = { ...PARTIAL, gsoType: VIRTIO_NET_HDR_GSO_TCPV4, gsoSize: 1000, headerLength: 54 };

describe('the header of a packet', () => {
  it.each([
    ['nothing to do', NO_OFFLOAD],
    ['bits of flags that nothing knows', { ...NO_OFFLOAD, flags: 0xfe }],
    ['a partial checksum', PARTIAL],
    ['a checksum of the last two bytes', { ...PARTIAL, checksumStart: 0, checksumOffset: bytes.length - 2 }],
    ['TSO', TSO],
    ['TSO with ECN', { ...TSO, gsoType: VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN }],
    ['segments larger than the packet', { ...TSO, gsoSize: 0xfffe }],
  ] as const)('may have %s', (_, offload) => {
    expect(headerProblem(offload, bytes.length, layers, ALL)).toBeUndefined();
  });

  it.each<[string, Offload, HeaderProblem]>([
    ['headers longer than the packet', { ...NO_OFFLOAD, headerLength: bytes.length + 1 }, 'header-length'],
    ['a checksum that starts behind the packet', { ...PARTIAL, checksumStart: 0xffff }, 'checksum-outside'],
    ['a checksum half behind it', { ...PARTIAL, checksumStart: bytes.length - 17 }, 'checksum-outside'],
    [
      'a checksum at 65535 and 65535',
      { ...PARTIAL, checksumStart: 0xffff, checksumOffset: 0xffff },
      'checksum-outside',
    ],
    ['a type that does not exist', { ...TSO, gsoType: 2 }, 'gso-not-negotiated'],
    ['UFO', { ...TSO, gsoType: VIRTIO_NET_HDR_GSO_UDP }, 'gso-not-negotiated'],
    ['ECN of UDP', { ...TSO, gsoType: VIRTIO_NET_HDR_GSO_UDP_L4 | VIRTIO_NET_HDR_GSO_ECN }, 'gso-not-negotiated'],
    ['ECN alone', { ...TSO, gsoType: VIRTIO_NET_HDR_GSO_ECN }, 'gso-not-negotiated'],
    ['segments of 0 bytes', { ...TSO, gsoSize: 0 }, 'gso-size'],
    ['segments of 65535 bytes (GSO_BY_FRAGS)', { ...TSO, gsoSize: 0xffff }, 'gso-size'],
    ['segments without NEEDS_CSUM', { ...TSO, flags: 0 }, 'gso-without-checksum'],
    ['the other IP version', { ...TSO, gsoType: VIRTIO_NET_HDR_GSO_TCPV6 }, 'gso-protocol'],
    ['the other protocol', { ...TSO, gsoType: VIRTIO_NET_HDR_GSO_UDP_L4 }, 'gso-protocol'],
    ['a checksum elsewhere than TCP has it', { ...TSO, checksumOffset: 6 }, 'gso-protocol'],
    ['a checksum over the IP header', { ...TSO, checksumStart: 14 }, 'gso-protocol'],
  ])('may not have %s', (_, offload, problem) => {
    expect(headerProblem(offload, bytes.length, layers, ALL)).toBe(problem);
  });

  it.each<[Offload, HeaderProblem]>([
    [PARTIAL, 'checksum-not-negotiated'],
    [TSO, 'checksum-not-negotiated'],
    [{ ...TSO, flags: 0 }, 'gso-not-negotiated'],
  ])('may have nothing that was not negotiated: %o', (offload, problem) => {
    expect(headerProblem(offload, bytes.length, layers, NONE)).toBe(problem);
  });

  it('has at most 128 datagrams, as Linux has it', () => {
    const udp = testFrame({ protocol: 'udp', payload: 1290 });
    const uso = { ...TSO, gsoType: VIRTIO_NET_HDR_GSO_UDP_L4, checksumOffset: 6, headerLength: 42 };
    expect(headerProblem({ ...uso, gsoSize: 11 }, udp.bytes.length, udp.layers, ALL)).toBeUndefined();
    expect(headerProblem({ ...uso, gsoSize: 10 }, udp.bytes.length, udp.layers, ALL)).toBe('gso-size');
  });
});
