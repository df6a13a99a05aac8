import type { FeatureSet } from '@virtio-platform/core/features';
import { VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_HASH_REPORT } from '../net-features.ts';
import {
  VIRTIO_NET_HASH_REPORT_IPV4,
  VIRTIO_NET_HASH_REPORT_IPV6,
  VIRTIO_NET_HASH_REPORT_NONE,
  VIRTIO_NET_HASH_REPORT_TCPV4,
  VIRTIO_NET_HASH_REPORT_TCPV6,
  VIRTIO_NET_HASH_REPORT_UDPV4,
  VIRTIO_NET_HASH_REPORT_UDPV6,
} from '../receive-side-scaling/frame-hash.ts';
import type { HashConfig, ScalingConfig } from '../receive-side-scaling/scaling-config.ts';
import { toeplitz } from '../receive-side-scaling/toeplitz.ts';
import { IP_TCP } from '../offload/packet-layers.ts';
import { FilterModel } from './filter-model.ts';
import { flowBytes, type TestFrame } from './test-frame.ts';

/** The hash of a frame, as its header has it. */
export interface ExpectedHash {
  readonly value: number;
  readonly report: number;
}

const NO_HASH: ExpectedHash = { value: 0, report: VIRTIO_NET_HASH_REPORT_NONE };

/** Hash reports of IPv4 and IPv6: addresses alone, with the ports of TCP, and of UDP; types are in the same order. */
const REPORTS = {
  ipv4: [VIRTIO_NET_HASH_REPORT_IPV4, VIRTIO_NET_HASH_REPORT_TCPV4, VIRTIO_NET_HASH_REPORT_UDPV4],
  ipv6: [VIRTIO_NET_HASH_REPORT_IPV6, VIRTIO_NET_HASH_REPORT_TCPV6, VIRTIO_NET_HASH_REPORT_UDPV6],
} as const;

/** What a network device has to do with each frame after a series of commands: pass it, where, with which hash. */
export class NetModel {
  readonly filter: FilterModel;
  readonly #reports: boolean;
  #hash: HashConfig | undefined;
  #scaling: ScalingConfig | undefined;

  /** `own` is the address of the device, in lower case. */
  constructor(own: string, accepted: FeatureSet) {
    this.filter = new FilterModel(own, accepted.has(VIRTIO_NET_F_CTRL_VLAN));
    this.#reports = accepted.has(VIRTIO_NET_F_HASH_REPORT);
  }

  setHash(config: HashConfig): void {
    this.#hash = config;
    this.#scaling = undefined;
  }

  setScaling(config: ScalingConfig): void {
    this.#hash = this.#scaling = config;
  }

  /** The command that sets the number of pairs ends hashes and scaling. */
  setPairs(): void {
    this.#hash = this.#scaling = undefined;
  }

  /** The pair on which a frame comes back that is sent on pair `sentOn`. */
  pairOf(frame: TestFrame, sentOn: number): number {
    if (this.#scaling === undefined) return sentOn;
    const { value, report } = this.#compute(frame, this.#scaling);
    const { table, unclassified } = this.#scaling;
    return report === VIRTIO_NET_HASH_REPORT_NONE ? unclassified : table[value % table.length]!;
  }

  /** The hash in the header of a frame. */
  hashOf(frame: TestFrame): ExpectedHash {
    return this.#reports && this.#hash !== undefined ? this.#compute(frame, this.#hash) : NO_HASH;
  }

  #compute(frame: TestFrame, { hashTypes, key }: HashConfig): ExpectedHash {
    const { kind, protocol } = frame;
    if (kind !== 'ipv4' && kind !== 'ipv6') return NO_HASH;
    // Three bits for each version: addresses, TCP, UDP.
    const types = kind === 'ipv4' ? hashTypes & 7 : (hashTypes >> 3) & 7;
    const place = protocol === IP_TCP ? 1 : 2;
    const withPorts = (types & (1 << place)) !== 0;
    if (!withPorts && (types & 1) === 0) return NO_HASH;
    const input = flowBytes(frame);
    const length = withPorts ? input.length : input.length - 4;
    return { value: toeplitz(key, input, length), report: REPORTS[kind][withPorts ? place : 0] };
  }
}
