import * as ctrl from './control-commands.ts';
import type { NetCommand } from './net-command.ts';

/** The classes, each with the names of its commands by their numbers. */
const CLASSES: Readonly<Record<number, readonly [name: string, commands: readonly string[]]>> = {
  [ctrl.VIRTIO_NET_CTRL_RX]: ['RX', ['PROMISC', 'ALLMULTI', 'ALLUNI', 'NOMULTI', 'NOUNI', 'NOBCAST']],
  [ctrl.VIRTIO_NET_CTRL_MAC]: ['MAC', ['TABLE_SET', 'ADDR_SET']],
  [ctrl.VIRTIO_NET_CTRL_VLAN]: ['VLAN', ['ADD', 'DEL']],
  [ctrl.VIRTIO_NET_CTRL_ANNOUNCE]: ['ANNOUNCE', ['ACK']],
  [ctrl.VIRTIO_NET_CTRL_MQ]: ['MQ', ['VQ_PAIRS_SET', 'RSS_CONFIG', 'HASH_CONFIG']],
  [ctrl.VIRTIO_NET_CTRL_GUEST_OFFLOADS]: ['GUEST_OFFLOADS', ['SET']],
};

/** A command as the specification has its name, without what all share: `MAC_ADDR_SET`. Section 5.1.6.5. */
export function nameOfCommand({ class: ofClass, command }: NetCommand): string {
  const [name = String(ofClass), commands = []] = CLASSES[ofClass] ?? [];
  return `${name}_${commands[command] ?? command}`;
}
