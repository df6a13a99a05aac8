import {
  FeatureSet,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_HASH_REPORT,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_NOTF_COAL,
  VIRTIO_NET_F_RSS,
  VIRTIO_NET_F_SPEED_DUPLEX,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_F_VQ_NOTF_COAL,
} from '@virtio-platform/core/features';
import { z } from 'zod';
import { checkRange, type DeviceConfig } from './device-config.ts';

/** Of the profile's device. */
const netSettings = z.object({ mac: z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i) });

/** Device configuration as far as it exists here: mac and status. Specification 1.4 section 5.1.4. */
const CONFIG_BYTES = 8;
const STATUS = 6;
const VIRTIO_NET_S_LINK_UP = 1;

/**
 * Features that a back-end may name although the front-end has to have them (DPDK does, for QEMU's sake): they need a
 * control queue, or a field of the configuration, and this machine has neither. Section 5.1.3.
 */
const NOT_HERE = FeatureSet.of(
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_VQ_NOTF_COAL,
  VIRTIO_NET_F_NOTF_COAL,
  VIRTIO_NET_F_HASH_REPORT,
  VIRTIO_NET_F_RSS,
  VIRTIO_NET_F_SPEED_DUPLEX,
);

/**
 * What this machine itself plays of a network device: a back-end has the packets and nothing else. Its address is the
 * profile's, and its link is always up.
 */
export class NetFrontEnd implements DeviceConfig {
  /** Added to what the back-end offers, and never told it. */
  readonly features: FeatureSet = FeatureSet.of(VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS);
  /** One pair, without control queue. */
  readonly queueCount = 2;
  readonly #config: Uint8Array = new Uint8Array(CONFIG_BYTES);

  /** `settings` are the profile's of a network device. */
  constructor(settings: unknown) {
    const { mac } = netSettings.parse(settings);
    this.#config.set(mac.split(':').map((byte) => Number.parseInt(byte, 16)));
    this.#config[STATUS] = VIRTIO_NET_S_LINK_UP;
  }

  /** What the driver can be offered of a back-end's features, before the profile chooses. */
  offered(features: FeatureSet): FeatureSet {
    return new FeatureSet(features.minus(NOT_HERE).bits | this.features.bits);
  }

  read(offset: number, target: Uint8Array): void {
    checkRange(offset, offset + target.length, CONFIG_BYTES);
    target.set(this.#config.subarray(offset, offset + target.length));
  }

  /** With VERSION_1 the address is not the driver's to change. Section 5.1.4.2. */
  write(_offset: number, _source: Uint8Array): void {}

  changed(): void {}
}
