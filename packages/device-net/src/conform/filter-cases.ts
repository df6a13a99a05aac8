import { caseGroup, type ConformCase } from '@virtio-platform/core';
import * as ctrl from '../control/control-commands.ts';
import { addressCommand, modeCommand, tablesCommand, vlanCommand, type NetCommand } from '../control/net-command.ts';
import {
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_MAC,
} from '../net-features.ts';
import { NO_OFFLOAD } from '../offload/net-header.ts';
import { netCase, type NetTemplate } from './net-case.ts';
import { BROADCAST_ADDRESS, frameOf, GROUP_ADDRESS, OTHER_ADDRESS, type FrameOptions } from './net-frame.ts';
import { RECEIVE_BYTES, type NetPort } from './net-port.ts';

const MODES = '5.1.6.5.1.1';
const TABLE = '5.1.6.5.2.1';
const VLANS = '5.1.6.5.3.1';

const on = (mode: number): NetCommand => modeCommand(mode, true);
const off = (mode: number): NetCommand => modeCommand(mode, false);
const NOT_PROMISCUOUS = off(ctrl.VIRTIO_NET_CTRL_RX_PROMISC);

/** A filter that a case sets, frames that have to pass it, and frames that should not. */
interface FilterTemplate {
  readonly id: string;
  readonly title: string;
  readonly clause?: string;
  readonly level?: ConformCase['level'];
  readonly features?: readonly number[];
  readonly start?: NetTemplate['start'];
  readonly commands: readonly NetCommand[] | ((port: NetPort) => readonly NetCommand[]);
  readonly passes?: readonly FrameOptions[];
  readonly drops?: readonly FrameOptions[];
  /** A frame that passes for sure, by which it is seen that those before it did not; the device's own unless given. */
  readonly marker?: FrameOptions;
}

/** Makes the case: frames are sent one after the other, and a marker behind those that should not come. */
function filterCase(template: FilterTemplate): ConformCase {
  const { commands, passes = [], drops = [], marker = {}, features = [VIRTIO_NET_F_CTRL_RX], ...rest } = template;
  return netCase({
    clause: MODES,
    level: 'SHOULD',
    ...rest,
    features: [...features, VIRTIO_NET_F_MAC],
    run: async (port) => {
      for (const command of typeof commands === 'function' ? commands(port) : commands) await port.order(command);
      for (const [i, options] of passes.entries()) {
        const frame = frameOf({ ...port.own(options), number: i + 1 });
        await port.send(frame);
        await port.expect(frame);
        port.supply([RECEIVE_BYTES]);
      }
      const last = frameOf({ ...port.own(marker), number: 100, data: 111 });
      for (const [i, options] of drops.entries()) {
        const frame = frameOf({ ...port.own(options), number: 50 + i });
        await port.send(frame);
        await port.send(last, NO_OFFLOAD);
        const { frame: seen } = await port.receive();
        const name = JSON.stringify(options);
        port.bench.check(seen.length === last.length, `a frame came that should have been dropped: ${name}`);
        port.sameBytes(seen, last);
        port.supply([RECEIVE_BYTES]);
      }
    },
  });
}
const filterCases = caseGroup(filterCase);

const other = { to: OTHER_ADDRESS } as const;
const group = { to: GROUP_ADDRESS } as const;
const broadcast = { to: BROADCAST_ADDRESS } as const;
const LISTED = '02:00:5e:10:00:77';
const LISTED_GROUP = '33:33:00:00:00:77';

/** Which frames are received (specification 1.4 sections 5.1.6.5.1 to 5.1.6.5.3). */
export const NET_FILTER_CASES: readonly ConformCase[] = [
  filterCase({
    id: 'net/promiscuous-receives-all',
    title: 'receives all frames in promiscuous mode',
    commands: [on(ctrl.VIRTIO_NET_CTRL_RX_PROMISC)],
    passes: [{}, other, group, broadcast],
  }),
  filterCase({
    id: 'net/own-address-received',
    level: 'MUST',
    clause: TABLE,
    title: 'receives frames to its own address without promiscuous mode',
    commands: [NOT_PROMISCUOUS],
    passes: [{}, {}, {}],
  }),
  filterCase({
    id: 'net/broadcast-received',
    title: 'receives broadcasts without promiscuous mode',
    commands: [NOT_PROMISCUOUS],
    passes: [broadcast, broadcast],
  }),
  filterCase({
    id: 'net/other-address-dropped',
    clause: TABLE,
    title: 'drops frames to other addresses without promiscuous mode',
    commands: [NOT_PROMISCUOUS],
    drops: [other, other],
  }),
  filterCase({
    id: 'net/group-dropped',
    clause: TABLE,
    title: 'drops frames to groups that are not in its table',
    commands: [NOT_PROMISCUOUS],
    drops: [group],
  }),
  filterCase({
    id: 'net/all-multicast-received',
    title: 'receives all groups in all-multicast mode, and no other hosts',
    commands: [NOT_PROMISCUOUS, on(ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI)],
    passes: [group, { to: LISTED_GROUP }],
    drops: [other],
  }),
  filterCase({
    id: 'net/all-multicast-off',
    title: 'drops groups again once all-multicast mode is off',
    commands: [NOT_PROMISCUOUS, on(ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI), off(ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI)],
    drops: [group],
  }),
  ...filterCases({ features: [VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_RX] }, [
    {
      id: 'net/all-unicast-received',
      title: 'receives all hosts in all-unicast mode, and no groups',
      commands: [NOT_PROMISCUOUS, on(ctrl.VIRTIO_NET_CTRL_RX_ALLUNI)],
      passes: [other, { to: LISTED }],
      drops: [group],
    },
    {
      id: 'net/no-multicast-drops',
      title: 'drops groups where multicast is suppressed, also in all-multicast mode',
      commands: [NOT_PROMISCUOUS, on(ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI), on(ctrl.VIRTIO_NET_CTRL_RX_NOMULTI)],
      drops: [group],
    },
    {
      id: 'net/no-multicast-keeps-broadcast',
      title: 'receives broadcasts where multicast is suppressed',
      commands: [NOT_PROMISCUOUS, on(ctrl.VIRTIO_NET_CTRL_RX_NOMULTI)],
      passes: [broadcast],
    },
    {
      id: 'net/no-unicast-drops',
      title: 'drops frames to hosts where unicast is suppressed, also in all-unicast mode',
      commands: [NOT_PROMISCUOUS, on(ctrl.VIRTIO_NET_CTRL_RX_ALLUNI), on(ctrl.VIRTIO_NET_CTRL_RX_NOUNI)],
      drops: [{}, other],
      marker: broadcast,
    },
    {
      id: 'net/no-broadcast-drops',
      title: 'drops broadcasts where they are suppressed, also in all-multicast mode',
      commands: [NOT_PROMISCUOUS, on(ctrl.VIRTIO_NET_CTRL_RX_ALLMULTI), on(ctrl.VIRTIO_NET_CTRL_RX_NOBCAST)],
      passes: [group],
      drops: [broadcast],
    },
    {
      id: 'net/promiscuous-comes-first',
      title: 'receives all frames in promiscuous mode, whatever is suppressed',
      commands: [
        on(ctrl.VIRTIO_NET_CTRL_RX_PROMISC),
        on(ctrl.VIRTIO_NET_CTRL_RX_NOMULTI),
        on(ctrl.VIRTIO_NET_CTRL_RX_NOUNI),
        on(ctrl.VIRTIO_NET_CTRL_RX_NOBCAST),
      ],
      passes: [{}, other, group, broadcast],
    },
  ]),
  ...filterCases({ clause: TABLE }, [
    {
      id: 'net/table-of-hosts',
      level: 'MUST',
      title: 'receives frames to hosts in its table, the first and the last one',
      commands: [NOT_PROMISCUOUS, tablesCommand([LISTED, '02:00:5e:10:00:78', '02:00:5e:10:00:79'], [], true)],
      passes: [{ to: LISTED }, { to: '02:00:5e:10:00:79' }, {}],
      drops: [other],
    },
    {
      id: 'net/table-of-groups',
      level: 'MUST',
      title: 'receives frames to groups in its table, behind a table of hosts',
      commands: [NOT_PROMISCUOUS, tablesCommand([LISTED], [LISTED_GROUP, '33:33:00:00:00:78'], true)],
      passes: [{ to: LISTED_GROUP }, { to: '33:33:00:00:00:78' }, { to: LISTED }],
      drops: [group],
    },
    {
      id: 'net/table-replaced',
      title: 'forgets its table with the next one',
      commands: [NOT_PROMISCUOUS, tablesCommand([LISTED], [LISTED_GROUP], true), tablesCommand([], [], true)],
      drops: [{ to: LISTED }, { to: LISTED_GROUP }],
    },
    {
      id: 'net/table-of-60',
      level: 'MUST',
      title: 'receives frames to each of 60 hosts in its table',
      commands: [NOT_PROMISCUOUS, tablesCommand(hosts(60), [], true)],
      passes: hosts(60).map((to) => ({ to })),
    },
  ]),
  netCase({
    id: 'net/table-empty-after-reset',
    clause: TABLE,
    title: 'has an empty table after a reset',
    features: [VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_MAC],
    run: async (port) => {
      await port.order(tablesCommand([LISTED], [LISTED_GROUP], true));
      const again = await port.again();
      await again.order(NOT_PROMISCUOUS);
      const marker = again.frame({ number: 9, data: 99 });
      for (const to of [LISTED, LISTED_GROUP]) {
        await again.send(frameOf({ to }));
        await again.send(marker);
        await again.expect(marker);
      }
    },
  }),
  filterCase({
    id: 'net/new-address-received',
    level: 'MUST',
    clause: TABLE,
    title: 'receives frames to the address that the driver set',
    features: [VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX],
    commands: [NOT_PROMISCUOUS, addressCommand('02:00:00:12:34:99')],
    passes: [{ to: '02:00:00:12:34:99' }],
    drops: [{}],
    marker: broadcast,
  }),
  ...filterCases({ clause: VLANS, features: [VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_RX] }, [
    {
      id: 'net/untagged-received',
      level: 'MUST',
      title: 'receives frames without a tag, whatever VLANs are in its table',
      commands: [NOT_PROMISCUOUS, vlanCommand(7, true, true)],
      passes: [{}, broadcast],
    },
    {
      id: 'net/vlan-received',
      level: 'MUST',
      title: 'receives frames of VLANs in its table',
      commands: [NOT_PROMISCUOUS, ...[0, 1, 31, 32, 63, 4095].map((vlan) => vlanCommand(vlan, true, true))],
      passes: [0, 1, 31, 32, 63, 4095].map((vlan) => ({ vlan })),
    },
    {
      id: 'net/vlan-dropped',
      title: 'drops frames of VLANs that are not in its table',
      commands: [NOT_PROMISCUOUS, vlanCommand(33, true, true)],
      drops: [{ vlan: 32 }, { vlan: 34 }, { vlan: 1 }],
    },
    {
      id: 'net/vlan-removed',
      title: 'drops frames of a VLAN that was removed, and of no other',
      commands: [
        NOT_PROMISCUOUS,
        vlanCommand(40, true, true),
        vlanCommand(41, true, true),
        vlanCommand(40, false, true),
      ],
      passes: [{ vlan: 41 }],
      drops: [{ vlan: 40 }],
    },
    {
      id: 'net/vlan-of-other-host-dropped',
      title: 'drops frames to other hosts of a VLAN in its table',
      commands: [NOT_PROMISCUOUS, vlanCommand(50, true, true)],
      drops: [{ vlan: 50, to: OTHER_ADDRESS }],
    },
  ]),
  filterCase({
    id: 'net/vlan-without-filter',
    level: 'MUST',
    clause: VLANS,
    title: 'receives frames of all VLANs without CTRL_VLAN',
    start: { without: [VIRTIO_NET_F_CTRL_VLAN] },
    commands: [NOT_PROMISCUOUS],
    passes: [{ vlan: 1 }, { vlan: 100 }, { vlan: 4095 }],
  }),
];

/** Addresses of so many hosts. */
function hosts(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `02:00:5e:20:00:${i.toString(16).padStart(2, '0')}`);
}
