import { FeatureSet } from '@virtio-platform/core/features';
import { macText } from '../net-settings.ts';
import { transmitQueuesOf } from '../receive-side-scaling/scaling-config.ts';
import {
  VIRTIO_NET_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET,
  VIRTIO_NET_CTRL_MQ,
  VIRTIO_NET_CTRL_MQ_RSS_CONFIG,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
} from './control-commands.ts';
import type { NetCommand } from './net-command.ts';

/** What changes for the driver once the device did a command. Fields are `undefined` where it stays. */
export interface CommandEffect {
  /** The own address. */
  readonly mac?: string;
  /** The offloads of received frames, by their features. */
  readonly offloads?: FeatureSet;
  /** Pairs that are used to send. */
  readonly pairs?: number;
}

/** The effect of a command that the device did, of which the data is right therefore. */
export function commandEffect({ class: ofClass, command, data }: NetCommand, littleEndian: boolean): CommandEffect {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (ofClass === VIRTIO_NET_CTRL_MAC && command === VIRTIO_NET_CTRL_MAC_ADDR_SET) return { mac: macText(data) };
  if (ofClass === VIRTIO_NET_CTRL_GUEST_OFFLOADS)
    return { offloads: new FeatureSet(view.getBigUint64(0, littleEndian)) };
  if (ofClass !== VIRTIO_NET_CTRL_MQ) return {};
  if (command === VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) return { pairs: view.getUint16(0, littleEndian) };
  return command === VIRTIO_NET_CTRL_MQ_RSS_CONFIG ? { pairs: transmitQueuesOf(view, littleEndian) } : {};
}
