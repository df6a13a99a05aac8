import { Random } from '@virtio-platform/device-kit';
import type { FeatureSet } from '@virtio-platform/core/features';
import * as wire from '../layout.ts';
import { MOST_DATAGRAMS } from '../offload/header-problem.ts';
import { NO_OFFLOAD, type Offload } from '../offload/net-header.ts';
import { hostOffloads, type OffloadSet } from '../offload/offload-set.ts';
import { IP_TCP, IP_UDP } from '../offload/packet-layers.ts';
import { BROADCAST, type FilterModel } from './filter-model.ts';
import { checksumField, RECORD, shapeOf, type TestFrame } from './test-frame.ts';

/** Addresses that frames go to and tables have. */
export const UNICASTS: readonly string[] = ['02:00:00:00:00:11', '02:00:00:00:00:12', '06:00:00:00:00:13'];
/** See {@link UNICASTS}. */
export const MULTICASTS: readonly string[] = ['01:00:5e:00:00:01', '33:33:00:00:00:01', '01:80:c2:00:00:0e'];
/** VLANs of frames, and of commands. */
export const TEST_VLANS: readonly number[] = [1, 100, 4094];
/** How many flows there are. */
const FLOWS = 64;
/** In percent. */
const TAGGED = 25;
const UNFINISHED = 60;
const LONG = 50;
/** Bytes of a small frame's data at most. */
const SMALL = 200;
/** Segments of one frame at most. */
const MOST_SEGMENTS = 64;

/** What frames may be like. */
export interface FrameLimits {
  /** Bytes of the longest frame that is given to the device. */
  readonly longest: number;
  /** Bytes of the longest IP packet of the wire; `Infinity` for no limit. */
  readonly mtu: number;
  /** Where frames that have to pass may go. */
  readonly accepted: FeatureSet;
}

/** Draws frames. */
export class RandomFrames {
  readonly #random: Random;
  readonly #limits: FrameLimits;
  readonly #host: OffloadSet;
  #number = 0;

  constructor(random: Random, limits: FrameLimits) {
    this.#random = random;
    this.#limits = limits;
    this.#host = hostOffloads(limits.accepted);
  }

  /** A frame to any address. */
  any(own: string): TestFrame {
    const random = this.#random;
    const to = random.pick([own, own, BROADCAST, random.pick(UNICASTS), random.pick(MULTICASTS)]);
    return this.#draw(to, own, random.chance(TAGGED) ? random.pick(TEST_VLANS) : -1);
  }

  /** A frame that passes a filter, or `undefined` where none does. */
  passing(filter: FilterModel): TestFrame | undefined {
    const { own } = filter;
    const to = [own, BROADCAST, ...MULTICASTS].find((address) => filter.passes({ to: address, vlan: -1 }));
    return to === undefined ? undefined : this.#draw(to, own, -1);
  }

  /** A frame that announces the own address. */
  announcement(own: string): TestFrame {
    const form = { to: BROADCAST, from: own, vlan: -1, protocol: 0, flow: 0, data: RECORD } as const;
    return { ...form, kind: 'announcement', number: this.#number++, offload: NO_OFFLOAD };
  }

  #draw(to: string, from: string, vlan: number): TestFrame {
    const random = this.#random;
    const kind = random.pick(['local', 'ipv4', 'ipv4', 'ipv6', 'ipv6'] as const);
    const protocol = kind === 'local' ? 0 : random.pick([IP_TCP, IP_UDP]);
    const form = { to, from, vlan, kind, protocol, flow: random.below(FLOWS), data: 0 };
    const headers = shapeOf(form).data;
    const most = Math.min(this.#limits.longest, this.#limits.mtu + shapeOf(form).network) - headers;
    const offload = this.#offloadFor(form, most);
    const number = this.#number++;
    if (offload.gsoType === wire.VIRTIO_NET_HDR_GSO_NONE) {
      const limit = random.chance(LONG) ? most : Math.min(most, SMALL);
      return { ...form, number, offload, data: between(random, RECORD, Math.max(RECORD, limit)) };
    }
    const segments = Math.min(
      this.#limits.longest - headers,
      offload.gsoSize * Math.min(MOST_SEGMENTS, MOST_DATAGRAMS),
    );
    const data = Math.max(RECORD, RECORD * Math.floor(between(random, 1, segments) / RECORD));
    return { ...form, number, offload, data };
  }

  #offloadFor(form: Omit<TestFrame, 'number' | 'offload'>, most: number): Offload {
    const random = this.#random;
    const { kind, protocol } = form;
    if (kind === 'local' || !this.#host.checksum || !random.chance(UNFINISHED)) return NO_OFFLOAD;
    const { transport, data } = shapeOf(form);
    const checksumOffset = checksumField(protocol);
    const partial = {
      ...NO_OFFLOAD,
      flags: wire.VIRTIO_NET_HDR_F_NEEDS_CSUM,
      checksumStart: transport,
      checksumOffset,
    };
    const gsoType = random.chance(50) ? this.#gsoType(kind, protocol) : wire.VIRTIO_NET_HDR_GSO_NONE;
    if (gsoType === wire.VIRTIO_NET_HDR_GSO_NONE || most < 2 * RECORD) return partial;
    const gsoSize = RECORD * between(random, 1, Math.floor(Math.min(most, 1448) / RECORD));
    return { ...partial, gsoType, gsoSize, headerLength: data };
  }

  #gsoType(kind: TestFrame['kind'], protocol: number): number {
    const { tso4, tso6, ecn, uso4, uso6 } = this.#host;
    const isIpv4 = kind === 'ipv4';
    if (protocol === IP_UDP)
      return (isIpv4 ? uso4 : uso6) ? wire.VIRTIO_NET_HDR_GSO_UDP_L4 : wire.VIRTIO_NET_HDR_GSO_NONE;
    if (!(isIpv4 ? tso4 : tso6)) return wire.VIRTIO_NET_HDR_GSO_NONE;
    const type = isIpv4 ? wire.VIRTIO_NET_HDR_GSO_TCPV4 : wire.VIRTIO_NET_HDR_GSO_TCPV6;
    return ecn && this.#random.chance(30) ? type | wire.VIRTIO_NET_HDR_GSO_ECN : type;
  }
}

function between(random: Random, least: number, most: number): number {
  return least + random.below(Math.max(1, most - least + 1));
}
