import { type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import net, {
  NET_SETTINGS,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  NetDevice,
  NetDriver,
} from '@virtio-platform/device-net';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, hostileChain, NOTHING_LEFT, pattern } from '@virtio-platform/conformance/testing';

const PLAIN = FeatureSet.of(VIRTIO_F_VERSION_1);
const MERGED = PLAIN.with(VIRTIO_NET_F_MRG_RXBUF);
const PAIRS = MERGED.with(VIRTIO_NET_F_CTRL_VQ).with(VIRTIO_NET_F_MQ);

const ZEROS = Array.from({ length: 12 }, () => 0);
const header = (buffers: number): number[] => [...ZEROS.slice(0, 10), buffers, 0];
const packet = (length: number, seed = 0): Uint8Array => Uint8Array.from([...ZEROS, ...pattern(length, seed)]);

function device(queuePairs = 1, byteOrder: ByteOrder = 'little'): NetDevice {
  return new NetDevice({ mac: Uint8Array.of(2, 0, 0, 0, 0, 1), queuePairs, queueSize: 32, byteOrder });
}

describe('NetDevice', () => {
  it('delivers what is sent, with a header of its own', () => {
    const loop = new DeviceLoop(device(), PLAIN);
    loop.add(0, [], 200);
    expect(loop.exchange(1, [0xfe, ...ZEROS.slice(1, 10), 255, 255, 1, 2, 3])).toEqual([]);
    expect(loop.take(0)).toEqual([[...header(1), 1, 2, 3]]);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('keeps packets in order and apart while there is no receive buffer', () => {
    const loop = new DeviceLoop(device(), PLAIN);
    for (const seed of [1, 2, 3]) loop.exchange(1, packet(50 + seed, seed));
    for (const seed of [1, 2, 3])
      expect(loop.exchange(0, [], 200)).toEqual([...header(1), ...pattern(50 + seed, seed)]);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('makes a driver wait that does not receive, and drops nothing', () => {
    const loop = new DeviceLoop(device(), MERGED);
    for (let i = 0; i < 8; i++) loop.add(1, packet(65_000, i));
    const early = loop.take(1).length;
    expect(early).toBeLessThan(8);
    for (let i = 0; i < 8; i++) expect(loop.exchange(0, [], 65_012)).toEqual([...header(1), ...pattern(65_000, i)]);
    expect(early + loop.take(1).length).toBe(8);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('shows the buffers of a merged packet together, once it is whole', () => {
    const loop = new DeviceLoop(device(), MERGED);
    loop.add(0, [], 50);
    loop.add(0, [], 50);
    loop.exchange(1, packet(120));
    expect(loop.take(0)).toEqual([]);
    loop.add(0, [], 50);
    const pieces = loop.take(0);
    expect(pieces.map(({ length }) => length)).toEqual([50, 50, 32]);
    expect(pieces.flat()).toEqual([...header(3), ...pattern(120)]);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('gives up a packet that takes more buffers than there can be', () => {
    const loop = new DeviceLoop(device(), MERGED);
    loop.exchange(1, packet(1000));
    for (let i = 0; i < 32; i++) loop.add(0, [], 12);
    const returned = loop.take(0);
    expect(returned).toHaveLength(32);
    expect(returned.flat()).toEqual([]);
    loop.exchange(1, packet(5));
    expect(loop.exchange(0, [], 100)).toEqual([...header(1), ...pattern(5)]);
    loop.end();
  });

  it('drops a packet that does not fit its only buffer, which comes back empty', () => {
    const loop = new DeviceLoop(device(), PLAIN);
    loop.exchange(1, packet(100));
    expect(loop.exchange(0, [], 50)).toEqual([]);
    loop.exchange(1, packet(30));
    expect(loop.exchange(0, [], 50)).toEqual([...header(1), ...pattern(30)]);
    loop.end();
  });

  it.each([
    ['no byte', [], 16],
    ['a short header', ZEROS.slice(0, 11), 0],
    ['a header alone', ZEROS, 0],
    ['more than the longest packet', packet(65_554), 0],
  ] as const)('drops what is sent with %s', (_, bytes, writable) => {
    const loop = new DeviceLoop(device(), PLAIN);
    expect(loop.exchange(1, bytes, writable)).toEqual([]);
    expect(loop.exchange(0, [], 100)).toBeUndefined();
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('drops what it cannot read, and survives buffers that it cannot write', () => {
    const model = device();
    const loop = new DeviceLoop(model, MERGED);
    expect(model.process(1, hostileChain([[2 ** 40, 64]], []), loop.space, loop)).toBe(0);
    expect(model.wants(0)).toBe(false);
    loop.exchange(1, packet(100));
    expect(model.process(0, hostileChain([], [[2 ** 40, 500]]), loop.space, loop)).toBe(0);
    expect(model.wants(0)).toBe(false);
    expect(loop.faults.count).toBe(2);
    loop.end();
  });

  it.each([
    ['with less room than a header', [], 11],
    ['that it may only read', [1, 2], 0],
  ] as const)('returns a receive buffer %s empty, and keeps the packet', (_, readable, writable) => {
    const loop = new DeviceLoop(device(), MERGED);
    loop.exchange(1, packet(5));
    expect(loop.exchange(0, readable, writable)).toEqual([]);
    expect(loop.exchange(0, [], 100)).toEqual([...header(1), ...pattern(5)]);
    loop.end();
  });

  it('uses a pair of queues once the driver asked for it, and no longer than that', () => {
    const loop = new DeviceLoop(device(2), PAIRS);
    loop.add(3, packet(5));
    expect(loop.take(3)).toEqual([]);
    expect(loop.exchange(4, [4, 0, 2, 0], 1)).toEqual([0]);
    expect(loop.take(3)).toEqual([[]]);
    loop.add(2, [], 14);
    expect(loop.take(2)).toEqual([]);
    expect(loop.exchange(4, [4, 0, 1, 0], 1)).toEqual([0]);
    expect(loop.take(2)).toEqual([[]]);
    expect(loop.exchange(3, packet(5))).toBeUndefined();
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it.each([
    ['no pair', [4, 0, 0, 0]],
    ['more pairs than it has', [4, 0, 3, 0]],
    ['an unknown command', [4, 9, 1, 0]],
    ['an unknown class', [0, 0, 1, 0]],
    ['half a number', [4, 0, 1]],
    ['no class', []],
  ])('answers a command with %s by an error', (_, command) => {
    const loop = new DeviceLoop(device(2), PAIRS);
    expect(loop.exchange(4, command, 1)).toEqual([1]);
    loop.end();
  });

  it('does nothing that it cannot acknowledge', () => {
    const loop = new DeviceLoop(device(2), PAIRS);
    expect(loop.exchange(4, [4, 0, 2, 0])).toEqual([]);
    loop.add(3, packet(5));
    expect(loop.take(3)).toEqual([]);
    loop.end();
  });

  it('C6 gives a packet up before a buffer without room, so that buffers come back in order', () => {
    const loop = new DeviceLoop(device(1), MERGED);
    const queues: number[] = [];
    const push = loop.push.bind(loop);
    loop.push = (queue, head, written) => {
      queues.push(queue);
      push(queue, head, written);
    };
    loop.add(1, packet(1000));
    loop.serve();
    loop.add(0, [], 100);
    loop.add(0, [1]);
    expect(loop.take(0)).toEqual([[], []]);
    expect(queues).toEqual([0]);
    // The next packet is delivered as ever.
    loop.exchange(1, packet(5));
    expect(loop.exchange(0, [], 100)).toHaveLength(17);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('has its control queue behind the only pair without MQ, and refuses more', () => {
    const loop = new DeviceLoop(device(2), PLAIN.with(VIRTIO_NET_F_CTRL_VQ));
    expect(loop.exchange(2, [4, 0, 1, 0], 1)).toEqual([1]);
    expect(loop.exchange(4, [4, 0, 1, 0], 1)).toBeUndefined();
    loop.end();
  });

  it('has shorter headers on the legacy interface', () => {
    const loop = new DeviceLoop(device(1, 'big'), FeatureSet.EMPTY, 'big');
    loop.exchange(1, [...ZEROS.slice(0, 10), 1, 2]);
    expect(loop.exchange(0, [], 100)).toEqual([...ZEROS.slice(0, 10), 1, 2]);
    loop.end();
  });

  it('counts buffers in the byte order of a legacy guest', () => {
    const loop = new DeviceLoop(device(1, 'big'), FeatureSet.of(VIRTIO_NET_F_MRG_RXBUF), 'big');
    loop.exchange(1, packet(5));
    expect(loop.exchange(0, [], 100)?.slice(10, 12)).toEqual([0, 1]);
    loop.end();
  });
});

describe('the settings of a network device', () => {
  it('are an address and one pair of queues unless given, and make its device half', () => {
    const model = net.model(NET_SETTINGS.parse({}), 'little');
    expect([...model.config.subarray(0, 6)]).toEqual([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    expect(model.queueSizes).toHaveLength(3);
    const several = net.model(NET_SETTINGS.parse({ mac: '02:00:00:00:AB:ff', queuePairs: 15 }), 'little');
    expect([...several.config.subarray(0, 6)]).toEqual([2, 0, 0, 0, 0xab, 0xff]);
    expect(several.queueSizes).toHaveLength(31);
  });

  it.each([
    { mac: '52:54', queuePairs: 1 },
    { mac: '02:00:00:00:00:0g' },
    { mac: '02:00:00:00:00:01', queuePairs: 16 },
    { queuePairs: 0 },
    { queuePairs: '1' },
    { capacity: 512 },
    undefined,
  ])('are not %j', (settings) => {
    expect(NET_SETTINGS.safeParse(settings).success).toBe(false);
  });
});

/** A network device that does something else with the buffers of some queue. */
class CrookedDevice extends NetDevice implements DeviceModel {
  readonly #queue: number;
  readonly #answer: readonly number[];

  constructor(queue: number, answer: readonly number[]) {
    super({ mac: new Uint8Array(6), queuePairs: 2, queueSize: 32, byteOrder: 'little' });
    this.#queue = queue;
    this.#answer = answer;
  }

  override wants(queue: number): boolean {
    return queue === this.#queue || super.wants(queue);
  }

  override process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (queue !== this.#queue) return super.process(queue, chain, space, queues);
    const at = chain.readable;
    space.write(chain.low[at]!, chain.high[at]!, Uint8Array.from(this.#answer), 0, this.#answer.length);
    return this.#answer.length;
  }
}

function connect(
  loop: DeviceLoop,
  accepted: FeatureSet,
  pairs: number,
  buffers: 'premapped' | 'streaming',
  byteOrder: ByteOrder,
): NetDriver {
  const indices = Array.from({ length: 2 * pairs + (pairs > 1 ? 1 : 0) }, (_, index) => index);
  const notify = (): void => loop.serve();
  const options = { accepted, depth: 2, bytes: 4000, buffers, byteOrder, notify };
  const driver = new NetDriver(loop.memory, loop.queues(...indices), options);
  for (let i = 0; i < 10 && !driver.isConnected; i++) driver.connect();
  expect(driver.isConnected).toBe(true);
  return driver;
}

describe.each([
  ['merged', 'premapped', PAIRS, 2, 'little'],
  ['merged', 'streaming', PAIRS, 2, 'little'],
  ['whole', 'premapped', PLAIN, 1, 'little'],
  ['merged legacy', 'streaming', FeatureSet.of(VIRTIO_NET_F_MRG_RXBUF), 1, 'big'],
  ['whole legacy', 'premapped', FeatureSet.EMPTY, 1, 'big'],
] as const)('NetDriver, %s packets, %s', (_, buffers, accepted, pairs, byteOrder) => {
  it('gets back on each pair what it sent there', () => {
    const loop = new DeviceLoop(device(pairs, byteOrder), accepted, byteOrder);
    const driver = connect(loop, accepted, pairs, buffers, byteOrder);
    expect(driver.links).toHaveLength(pairs);
    const target = new Uint8Array(4001);
    for (let round = 0; round < 20; round++) {
      driver.links.forEach((link, pair) => {
        expect(link.send(pattern(4000, round + pair), 4000)).toBe(0);
        expect(link.send(pattern(60, round), 60)).toBe(0);
        link.flush();
        expect(link.receive(target)).toBe(4000);
        expect(target.subarray(0, 4000)).toEqual(pattern(4000, round + pair));
        expect(link.receive(target)).toBe(60);
        expect(link.receive(target)).toBe(0);
        expect(link.flush()).toBe(2);
      });
    }
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });
});

describe('NetDriver', () => {
  it.each([
    ['modern', MERGED],
    ['legacy, headers in descriptors of their own', FeatureSet.of(VIRTIO_NET_F_MRG_RXBUF)],
  ])('Borders makes receive buffers so long that a packet fits the queue: %s', (_, accepted) => {
    const loop = new DeviceLoop(device(1), accepted, 'little', 2);
    const notify = (): void => loop.serve();
    const options = { accepted, depth: 1, bytes: 65_535, buffers: 'streaming', notify } as const;
    const driver = new NetDriver(loop.memory, loop.queues(0, 1), { ...options, byteOrder: 'little' });
    const [link] = driver.links;
    const target = new Uint8Array(65_536);
    for (let round = 0; round < 3; round++) {
      expect(link!.send(pattern(65_535, round), 65_535)).toBe(0);
      link!.flush();
      expect(link!.receive(target)).toBe(65_535);
      expect(target.subarray(0, 65_535)).toEqual(pattern(65_535, round));
      link!.flush();
    }
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('uses the first pair alone when the device refuses more', () => {
    const loop = new DeviceLoop(new CrookedDevice(4, [1]), PAIRS);
    const driver = connect(loop, PAIRS, 2, 'premapped', 'little');
    expect(driver.links).toHaveLength(1);
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('takes a command that is not answered for one that was refused', () => {
    const loop = new DeviceLoop(new CrookedDevice(4, []), PAIRS);
    const driver = connect(loop, PAIRS, 2, 'premapped', 'little');
    expect(driver.links).toHaveLength(1);
    loop.end(driver);
  });

  it.each([
    ['an impossible number of buffers', [...ZEROS.slice(0, 10), 0xff, 0xff, 7], []],
    ['no number of buffers', [...ZEROS, 7], []],
    ['half a header', [1, 2, 3], []],
    ['a header alone', header(1), []],
  ] as const)('ends with a device that delivers %s', (_, answer, expected) => {
    const loop = new DeviceLoop(new CrookedDevice(0, answer), MERGED);
    const driver = connect(loop, MERGED, 1, 'streaming', 'little');
    const [link] = driver.links;
    link!.flush();
    const target = new Uint8Array(4001);
    const length = link!.receive(target);
    expect([...target.subarray(0, length)]).toEqual(expected);
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });
});
