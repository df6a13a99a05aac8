import { copyBytes } from '@virtio-platform/core/address-space';
import { MAC_BYTES } from '../layout.ts';
import { macBytes } from '../net-settings.ts';
import { addToSum, checksum, foldSum } from '../offload/checksum.ts';
import { TCP_CHECKSUM, UDP_CHECKSUM } from '../offload/header-problem.ts';
import type { Offload } from '../offload/net-header.ts';
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_VLAN,
  IP_TCP,
  IPV4_HEADER,
  IPV6_HEADER,
  readBig32,
  TCP_HEADER,
  UDP_HEADER,
  writeBig16,
  writeBig32,
} from '../offload/packet-layers.ts';

/** The Ethernet type for local experiments (IEEE 802). */
const ETHERTYPE_LOCAL = 0x88b5;
/** Reverse ARP: what a host without an IP address announces itself with (RFC 903), as QEMU does. */
const ETHERTYPE_RARP = 0x8035;
const RARP_BODY = 28;

/** Bytes of a record of the data: the number of the frame, and 32 bits that follow from it and the place. */
export const RECORD = 8;

/** A frame of the workload, of which everything else follows. */
export interface TestFrame {
  /** The number of the frame, which is in its data. */
  readonly number: number;
  /** Addresses, in lower case. */
  readonly to: string;
  readonly from: string;
  /** The VLAN, or -1. */
  readonly vlan: number;
  readonly kind: 'local' | 'announcement' | 'ipv4' | 'ipv6';
  /** TCP or UDP, by its number; of IP. */
  readonly protocol: number;
  /** Which addresses and ports it has; of IP. */
  readonly flow: number;
  /** Bytes of data, at least {@link RECORD}. */
  readonly data: number;
  /** What is left to the device. */
  readonly offload: Offload;
}

/** Where the parts of a frame begin. */
export interface FrameShape {
  readonly network: number;
  readonly transport: number;
  readonly data: number;
  readonly length: number;
}

/** Where the parts of a test frame begin. */
export function shapeOf({ kind, vlan, protocol, data }: Omit<TestFrame, 'number' | 'offload'>): FrameShape {
  const network = 2 * MAC_BYTES + (vlan >= 0 ? 4 : 0) + 2;
  const body = kind === 'announcement' ? RARP_BODY : 0;
  const ip = kind === 'ipv4' ? IPV4_HEADER : kind === 'ipv6' ? IPV6_HEADER : body;
  const transport = network + ip;
  const isIp = kind === 'ipv4' || kind === 'ipv6';
  const at = transport + (isIp ? (protocol === IP_TCP ? TCP_HEADER : UDP_HEADER) : 0);
  return { network, transport, data: at, length: at + data };
}

/** The addresses and ports of a flow, as they are hashed: source and destination address, then both ports. */
export function flowBytes({ kind, flow }: Pick<TestFrame, 'kind' | 'flow'>): Uint8Array {
  const addressBytes = kind === 'ipv4' ? 4 : 16;
  const bytes = new Uint8Array(2 * addressBytes + 4);
  bytes[0] = kind === 'ipv4' ? 10 : 0xfd;
  bytes[addressBytes - 1] = flow;
  bytes[addressBytes] = bytes[0];
  bytes[addressBytes + 1] = 1;
  bytes[2 * addressBytes - 1] = flow * 7;
  writeBig16(bytes, 2 * addressBytes, 0x4000 + flow * 131);
  writeBig16(bytes, 2 * addressBytes + 2, 80 + flow);
  return bytes;
}

/** Where the checksum field is in the transport header. */
export function checksumField(protocol: number): number {
  return protocol === IP_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
}

/** TCP flags of every test frame: FIN, PSH and ACK; CWR too where the frame is of ECN. */
export const TEST_FLAGS = 0x19;

/**
 * Writes a test frame to the start of `target` and returns its bytes. With `isPartial` the checksum field has the sum
 * of the pseudo-header, otherwise the checksum.
 */
export function writeFrame(frame: TestFrame, seed: number, target: Uint8Array, isPartial: boolean): number {
  const { to, from, vlan, kind } = frame;
  const shape = shapeOf(frame);
  const { network, data, length } = shape;
  target.fill(0, 0, data);
  target.set(addressOf(to), 0);
  target.set(addressOf(from), MAC_BYTES);
  if (vlan >= 0) {
    writeBig16(target, 2 * MAC_BYTES, ETHERTYPE_VLAN);
    writeBig16(target, 2 * MAC_BYTES + 2, vlan);
  }
  writeBig16(target, network - 2, typeOf(kind));
  if (kind === 'announcement') writeAnnouncement(target, network, from);
  writeData(frame, seed, target, data);
  if (kind === 'ipv4' || kind === 'ipv6') writeIp(frame, shape, target, isPartial);
  return length;
}

/** The data of a frame: records of its number and of 32 bits that follow from seed, number and place. */
function writeData({ number, data }: TestFrame, seed: number, target: Uint8Array, at: number): void {
  const end = at + data;
  for (let record = 1; at < end; record++, at += RECORD) {
    const mixed = Math.imul(number ^ Math.imul(record, 0x9e37_79b1) ^ seed, 0x85eb_ca6b);
    for (let i = 0; i < 4 && at + i < end; i++) target[at + i] = number >>> (24 - 8 * i);
    for (let i = 4; i < RECORD && at + i < end; i++) target[at + i] = mixed >>> (24 - 8 * (i - 4));
  }
}

/** The number of the frame whose data begins at `at`. */
export function numberAt(bytes: Uint8Array, at: number): number {
  return readBig32(bytes, at);
}

/** The few addresses of a run, by their text. */
const ADDRESSES = new Map<string, Uint8Array>();

function addressOf(mac: string): Uint8Array {
  let bytes = ADDRESSES.get(mac);
  if (bytes === undefined) ADDRESSES.set(mac, (bytes = macBytes(mac)));
  return bytes;
}

function typeOf(kind: TestFrame['kind']): number {
  if (kind === 'ipv4') return ETHERTYPE_IPV4;
  if (kind === 'ipv6') return ETHERTYPE_IPV6;
  return kind === 'announcement' ? ETHERTYPE_RARP : ETHERTYPE_LOCAL;
}

/** A request of reverse ARP for the own address. */
function writeAnnouncement(target: Uint8Array, at: number, own: string): void {
  target.set([0, 1, 8, 0, 6, 4, 0, 3], at);
  target.set(macBytes(own), at + 8);
  target.set(macBytes(own), at + 18);
}

function writeIp(frame: TestFrame, shape: FrameShape, target: Uint8Array, isPartial: boolean): void {
  const { kind, protocol, number } = frame;
  const { network, transport, length } = shape;
  const flow = flowBytes(frame);
  const isIpv4 = kind === 'ipv4';
  const addresses = flow.length - 4;
  if (isIpv4) {
    target[network] = 0x45;
    writeBig16(target, network + 2, length - network);
    writeBig16(target, network + 4, number & 0xffff);
    target[network + 8] = 64;
    target[network + 9] = protocol;
  } else {
    target[network] = 0x60;
    writeBig16(target, network + 4, length - transport);
    target[network + 6] = protocol;
    target[network + 7] = 64;
  }
  copyBytes(target, network + (isIpv4 ? 12 : 8), flow, 0, addresses);
  if (isIpv4) writeBig16(target, network + 10, checksum(target, network, IPV4_HEADER));
  copyBytes(target, transport, flow, addresses, 4);
  if (protocol === IP_TCP) {
    writeBig32(target, transport + 4, firstSequence(number));
    target[transport + 12] = 0x50;
    target[transport + 13] = TEST_FLAGS | ((frame.offload.gsoType & 0x80) === 0 ? 0 : 0x80);
  } else writeBig16(target, transport + 4, length - transport);
  const pseudo = foldSum(addToSum(0, flow, 0, addresses) + (length - transport) + protocol);
  const field = transport + checksumField(protocol);
  writeBig16(target, field, pseudo);
  if (isPartial) return;
  const sum = checksum(target, transport, length - transport);
  writeBig16(target, field, sum === 0 ? 0xffff : sum);
}

/** The sequence number of the first byte of a frame of TCP. */
export function firstSequence(number: number): number {
  return Math.imul(number, 0x1_0001) >>> 0;
}
