import {
  NET_HASH_TYPES,
  NetDevice,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_HASH_REPORT,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_RSS,
  VIRTIO_NET_S_ANNOUNCE,
  VIRTIO_NET_S_LINK_UP,
  type NetDeviceOptions,
} from '@virtio-platform/device-net';
import { DeviceLoop } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { testFrame, type FrameParts } from '../frames.ts';

const OWN = [2, 0, 0, 0, 0, 1];
const OTHER = [2, 0, 0, 0, 0, 9];
const GROUP = [1, 0, 0x5e, 0, 0, 1];
const ALL = [255, 255, 255, 255, 255, 255];
const CONTROL = 4;

const FEATURES = FeatureSet.of(
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_RSS,
);

/** A device half at work, and whether frames and commands come back. */
class Bench {
  readonly model: NetDevice;
  readonly loop: DeviceLoop;
  changes = 0;

  constructor(features: FeatureSet = FEATURES, options: Partial<NetDeviceOptions> = {}) {
    this.model = new NetDevice({
      mac: Uint8Array.from(OWN),
      queuePairs: 2,
      queueSize: 32,
      byteOrder: 'little',
      ...options,
    });
    this.model.connect({ queueChanged: () => {}, configChanged: () => void this.changes++ });
    this.loop = new DeviceLoop(this.model, features);
  }

  /** The acknowledgement of a command: class, command and data. */
  command(...bytes: readonly number[]): number | undefined {
    return this.loop.exchange(CONTROL, bytes, 1)?.[0];
  }

  /** Whether a frame comes back on its pair. */
  passes(parts: Omit<FrameParts, 'payload'>): boolean {
    return this.comesOn(parts) === 0;
  }

  /** The pair on which a frame of the first one comes back, or -1. */
  comesOn(parts: Omit<FrameParts, 'payload'>): number {
    this.loop.add(1, [...Array.from({ length: 12 }, () => 0), ...testFrame({ payload: 20, ...parts }).bytes]);
    this.loop.serve();
    const pair = [0, 2].find((queue) => this.model.wants(queue));
    if (pair === undefined) return -1;
    this.loop.exchange(pair, [], 2000);
    return pair / 2;
  }
}

describe('the filter of a network device', () => {
  it('passes all until promiscuous mode is off, and then the own address and broadcasts', () => {
    const bench = new Bench();
    for (const destination of [OWN, OTHER, GROUP, ALL]) expect(bench.passes({ destination, vlan: 5 })).toBe(true);
    expect(bench.command(0, 0, 0)).toBe(0);
    expect([OWN, OTHER, GROUP, ALL].map((destination) => bench.passes({ destination }))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect(bench.command(0, 0, 1)).toBe(0);
    expect(bench.passes({ destination: OTHER })).toBe(true);
  });

  it.each([
    ['allmulti', [0, 1, 1], [true, false, true, true]],
    ['alluni', [0, 2, 1], [true, true, false, true]],
    ['nomulti', [0, 3, 1], [true, false, false, true]],
    ['nouni', [0, 4, 1], [false, false, false, true]],
    ['nobcast', [0, 5, 1], [true, false, false, false]],
    ['tables', [1, 0, 1, 0, 0, 0, ...OTHER, 1, 0, 0, 0, ...GROUP], [true, true, true, true]],
    ['empty tables', [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [true, false, false, true]],
    ['another own address', [1, 1, ...OTHER], [false, true, false, true]],
  ] as const)('does as it is told: %s', (_, command, expected) => {
    const bench = new Bench();
    expect(bench.command(0, 0, 0)).toBe(0);
    expect(bench.command(...command)).toBe(0);
    expect([OWN, OTHER, GROUP, ALL].map((destination) => bench.passes({ destination }))).toEqual(expected);
  });

  it('passes the VLANs that were added, and untagged frames', () => {
    const bench = new Bench();
    bench.command(0, 0, 0);
    expect(bench.command(2, 0, 5, 0)).toBe(0);
    expect([-1, 5, 6].map((vlan) => bench.passes(vlan < 0 ? {} : { vlan }))).toEqual([true, true, false]);
    expect(bench.command(2, 1, 5, 0)).toBe(0);
    expect(bench.passes({ vlan: 5 })).toBe(false);
  });

  it('passes every VLAN without CTRL_VLAN', () => {
    const bench = new Bench(FEATURES.without(VIRTIO_NET_F_CTRL_VLAN));
    bench.command(0, 0, 0);
    expect(bench.passes({ vlan: 5 })).toBe(true);
    expect(bench.command(2, 0, 5, 0)).toBe(1);
  });

  it('passes every address of a kind of which a table has more than there is room for, as QEMU does', () => {
    const bench = new Bench();
    bench.command(0, 0, 0);
    const many = Array.from({ length: 65 }, (_, i) => [2, 0, 0, 0, 1, i]).flat();
    expect(bench.command(1, 0, 65, 0, 0, 0, ...many, 0, 0, 0, 0)).toBe(0);
    expect([OTHER, GROUP].map((destination) => bench.passes({ destination }))).toEqual([true, false]);
  });

  it('is forgotten with a reset, and the address of the configuration with it', () => {
    const bench = new Bench();
    expect(bench.command(1, 1, ...OTHER)).toBe(0);
    expect([...bench.model.config.subarray(0, 6)]).toEqual(OTHER);
    expect(bench.changes).toBe(1);
    bench.command(0, 0, 0);
    bench.model.start(FEATURES);
    expect([...bench.model.config.subarray(0, 6)]).toEqual(OWN);
    expect(bench.passes({ destination: OTHER })).toBe(true);
  });
});

/** The command RSS_CONFIG. */
function scaling(types: number, mask: number, unclassified: number, table: number[], tail: number[]): number[] {
  const head = [4, 1, types, 0, 0, 0, mask & 0xff, mask >> 8, unclassified, 0];
  return head.concat(
    table.flatMap((queue) => [queue, 0]),
    tail,
  );
}

describe('a command', () => {
  it.each([
    ['that has no class', [0]],
    ['of an unknown class', [6, 0, 1]],
    ['of an unknown receive mode', [0, 6, 1]],
    ['with a receive mode of 2', [0, 0, 2]],
    ['with two receive modes', [0, 0, 1, 1]],
    ['with no receive mode', [0, 0]],
    ['with half an address', [1, 1, 2, 0, 0]],
    ['with a table that ends early', [1, 0, 2, 0, 0, 0, ...OTHER, 0, 0, 0, 0]],
    ['with a table of 2^32 - 1 addresses', [1, 0, 255, 255, 255, 255, 0, 0, 0, 0]],
    ['with a byte behind the tables', [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]],
    ['with one table', [1, 0, 0, 0, 0, 0]],
    ['with VLAN 4096', [2, 0, 0, 16]],
    ['with half a VLAN', [2, 0, 5]],
    ['that acknowledges what was not asked for', [3, 0]],
    ['of an unknown kind of announcement', [3, 1]],
    ['with an offload that was not accepted', [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]],
    ['with half of the offloads', [5, 0, 0, 0, 0, 0]],
    ['for hashes without HASH_REPORT', [4, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ['with a table of 3 entries', scaling(1, 2, 0, [0, 0, 0], [1, 0, 0])],
    [
      'with a table of 256 entries',
      scaling(
        1,
        255,
        0,
        Array.from({ length: 256 }, () => 0),
        [1, 0, 0],
      ),
    ],
    ['with a table that ends early', scaling(1, 7, 0, [0, 1], [1, 0, 0])],
    ['with a queue that does not exist', scaling(1, 1, 0, [0, 2], [1, 0, 0])],
    ['with an unclassified queue that does not exist', scaling(1, 1, 2, [0, 1], [1, 0, 0])],
    ['with no transmit queue', scaling(1, 1, 0, [0, 1], [0, 0, 0])],
    ['with more transmit queues than there are', scaling(1, 1, 0, [0, 1], [3, 0, 0])],
    ['with a hash type that is not supported', scaling(0x40, 1, 0, [0, 1], [2, 0, 0])],
    ['with a key that is too long', scaling(1, 1, 0, [0, 1], [2, 0, 41, ...Array.from({ length: 41 }, () => 1)])],
    ['with half a key', scaling(1, 1, 0, [0, 1], [2, 0, 4, 1, 2])],
  ])('%s is refused, and changes nothing', (_, command) => {
    const bench = new Bench();
    expect(bench.command(...command)).toBe(1);
    expect(bench.comesOn({ destination: OTHER, vlan: 5 })).toBe(0);
    // And the next one is done.
    expect(bench.command(0, 0, 1)).toBe(0);
  });

  it('of 8 KiB and more is refused', () => {
    const bench = new Bench();
    expect(bench.command(1, 0, ...Array.from({ length: 9000 }, () => 0))).toBe(1);
  });

  it('sends frames where their hash says, and those without one to the unclassified queue', () => {
    const bench = new Bench();
    const key = Array.from({ length: 40 }, (_, i) => (i * 73 + 5) & 0xff);
    expect(bench.command(...scaling(NET_HASH_TYPES, 0, 0, [1], [2, 0, 40, ...key]))).toBe(0);
    expect([bench.comesOn({}), bench.comesOn({ version: 6, protocol: 'udp' })]).toEqual([1, 1]);
    expect(bench.command(...scaling(0, 0, 0, [1], [2, 0, 0]))).toBe(0);
    expect(bench.comesOn({})).toBe(0);
    expect(bench.command(4, 0, 2, 0)).toBe(0);
    expect(bench.comesOn({})).toBe(0);
  });

  it('puts hashes into headers, of which others have none', () => {
    const bench = new Bench(
      FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ, VIRTIO_NET_F_HASH_REPORT),
    );
    const key = Array.from({ length: 40 }, (_, i) => (i * 73 + 5) & 0xff);
    const exchange = (): readonly number[] => {
      bench.loop.add(1, [...Array.from({ length: 20 }, () => 0), ...testFrame({ payload: 20 }).bytes]);
      return bench.loop.exchange(0, [], 2000)!.slice(10, 20);
    };
    expect(exchange()).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(bench.command(4, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, ...key)).toBe(0);
    const header = exchange();
    expect(header.slice(6)).toEqual([2, 0, 0, 0]);
    expect(header.slice(2, 6)).not.toEqual([0, 0, 0, 0]);
  });
});

describe('an announcement', () => {
  it('is asked for in the status, told as a change, and acknowledged once', () => {
    const bench = new Bench(FEATURES, { events: [{ after: 2, do: 'announce', milliseconds: 1 }] });
    const status = (): number => bench.model.config[6]!;
    bench.passes({});
    expect([status(), bench.changes]).toEqual([VIRTIO_NET_S_LINK_UP, 0]);
    bench.passes({});
    expect([status(), bench.changes]).toEqual([VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE, 1]);
    expect(bench.command(3, 0, 0)).toBe(1);
    expect(bench.command(3, 0)).toBe(0);
    expect([status(), bench.changes]).toEqual([VIRTIO_NET_S_LINK_UP, 2]);
    expect(bench.command(3, 0)).toBe(1);
  });

  it('is not asked for without GUEST_ANNOUNCE', () => {
    const events = [{ after: 1, do: 'announce', milliseconds: 1 }] as const;
    const bench = new Bench(FEATURES.without(VIRTIO_NET_F_GUEST_ANNOUNCE), { events });
    bench.passes({});
    expect([bench.model.config[6], bench.changes]).toEqual([VIRTIO_NET_S_LINK_UP, 0]);
  });
});

describe('the MTU', () => {
  it('is offered with it, and a longer packet is dropped', () => {
    const mtu = new NetDevice({
      mac: Uint8Array.from(OWN),
      queuePairs: 1,
      queueSize: 32,
      byteOrder: 'little',
      mtu: 100,
    });
    const accepted = mtu.features.and(FeatureSet.of(3)).with(VIRTIO_F_VERSION_1);
    expect([...accepted]).toEqual([3, VIRTIO_F_VERSION_1]);
    const loop = new DeviceLoop(mtu, accepted);
    for (const [payload, vlan, passes] of [
      [60, undefined, true],
      [61, undefined, false],
      [60, 7, true],
      [61, 7, false],
    ] as const) {
      const { bytes } = testFrame({ payload, ...(vlan !== undefined && { vlan }) });
      loop.add(1, [...Array.from({ length: 12 }, () => 0), ...bytes]);
      loop.serve();
      expect(mtu.wants(0)).toBe(passes);
      if (passes) loop.exchange(0, [], 2000);
    }
    expect(mtu.dropped).toBe(2);
  });
});
