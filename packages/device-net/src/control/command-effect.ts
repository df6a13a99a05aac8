import { FeatureSet } from '@virtio-platform/core/features';
import { MAC_BYTES } from '../layout.ts';
import { macText } from '../net-settings.ts';
import { transmitQueuesOf } from '../receive-side-scaling/scaling-config.ts';
import * as ctrl from './control-commands.ts';
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

/** The effect of a command that the device did: of one whose data is too short, which a device refuses, none. */
export function commandEffect({ class: ofClass, command, data }: NetCommand, littleEndian: boolean): CommandEffect {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (ofClass === ctrl.VIRTIO_NET_CTRL_MAC && command === ctrl.VIRTIO_NET_CTRL_MAC_ADDR_SET && data.length >= MAC_BYTES)
    return { mac: macText(data) };
  if (ofClass === ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS && data.length >= 8)
    return { offloads: new FeatureSet(view.getBigUint64(0, littleEndian)) };
  if (ofClass !== ctrl.VIRTIO_NET_CTRL_MQ) return {};
  if (command === ctrl.VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && data.length >= 2)
    return { pairs: view.getUint16(0, littleEndian) };
  const pairs = command === ctrl.VIRTIO_NET_CTRL_MQ_RSS_CONFIG ? transmitQueuesOf(view, littleEndian) : undefined;
  return pairs === undefined ? {} : { pairs };
}
