import {
  NET_DRIVER_FEATURES,
  NetDevice,
  NetDriver,
  netQueues,
  NO_OFFLOAD,
  readNetConfig,
  VIRTIO_NET_CTRL_RX_NOBCAST,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_HASH_REPORT,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
  type NetDeviceOptions,
} from '@virtio-platform/device-net';
import { DeviceLoop, NOTHING_LEFT, RegisterTransport } from '@virtio-platform/conformance/testing';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { testFrame } from './frames.ts';

const OPTIONS: NetDeviceOptions = {
  mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
  queuePairs: 2,
  queueSize: 64,
  byteOrder: 'little',
  mtu: 9000,
  speed: 2500,
  duplex: 'half',
};

/** A driver half at work on a device half. */
class Bench {
  readonly loop: DeviceLoop;
  readonly driver: NetDriver;

  constructor(model: NetDevice = new NetDevice(OPTIONS), lacks: FeatureSet = FeatureSet.EMPTY, serves = true) {
    const accepted = model.features.and(NET_DRIVER_FEATURES).minus(lacks).with(VIRTIO_F_VERSION_1);
    this.loop = new DeviceLoop(model, accepted, 'little', 64);
    const transport = new RegisterTransport({ offered: accepted, configBytes: 24 });
    transport.readConfig = (offset, target) => target.set(model.config.subarray(offset, offset + target.length));
    Object.defineProperty(transport, 'queueCount', { value: model.queueSizes.length });
    const device = { transport, accepted, byteOrder: 'little' } as const;
    let isServed = true;
    const notify = (): void => (isServed ? this.loop.serve() : undefined);
    const readConfig = (): ReturnType<typeof readNetConfig> => readNetConfig(device);
    const queues = this.loop.queues(...netQueues(readConfig()));
    const common = { accepted, depth: 4, bytes: 9014, buffers: 'streaming', byteOrder: 'little', notify } as const;
    this.driver = new NetDriver(this.loop.memory, queues, { ...common, readConfig });
    while (!this.driver.isConnected) this.driver.connect();
    isServed = serves;
  }

  end(): void {
    expect(this.loop.end(this.driver)).toEqual(NOTHING_LEFT);
  }
}

describe('a network driver half that a program drives', () => {
  it('knows address, MTU, link, speed and duplex', () => {
    const bench = new Bench();
    expect(bench.driver).toMatchObject({
      mac: '02:00:00:00:00:01',
      mtu: 9000,
      isLinkUp: true,
      speed: 2500,
      duplex: 'half',
    });
    expect(bench.driver.links).toHaveLength(2);
    bench.end();
  });

  it('sends commands and waits for their answers', () => {
    const bench = new Bench();
    const { driver } = bench;
    expect(driver.setPromiscuous(false)).toBe(true);
    expect(driver.setAllMulticast(true)).toBe(true);
    expect(driver.setMode(VIRTIO_NET_CTRL_RX_NOBCAST, true)).toBe(true);
    expect(driver.setAddressTables(['02:00:00:00:00:02'], ['01:00:5e:00:00:01'])).toBe(true);
    expect(driver.setVlan(4095, true)).toBe(true);
    expect(driver.setAddress('02:00:00:00:00:07')).toBe(true);
    expect(driver.mac).toBe('02:00:00:00:00:07');
    expect(driver.setQueuePairs(1)).toBe(true);
    expect(driver.links).toHaveLength(1);
    expect(driver.setQueuePairs(3)).toBe(false);
    expect(driver.links).toHaveLength(1);
    const key = new Uint8Array(40);
    expect(driver.setReceiveScaling({ hashTypes: 1, table: [0, 1], unclassified: 0, transmitQueues: 2, key })).toBe(
      true,
    );
    expect(driver.links).toHaveLength(2);
    expect(driver.setHashes({ hashTypes: 1, key })).toBe(true);
    expect(driver.setGuestOffloads(FeatureSet.EMPTY)).toBe(true);
    bench.end();
  });

  it('refuses what cannot be asked for', () => {
    const bench = new Bench(undefined, FeatureSet.of(VIRTIO_NET_F_CTRL_RX));
    expect(() => bench.driver.setPromiscuous(true)).toThrow(new TypeError('NET_CTRL_RX was not negotiated'));
    expect(() => bench.driver.setVlan(4096, true)).toThrow(RangeError);
    bench.end();
    const without = new Bench(undefined, FeatureSet.of(VIRTIO_NET_F_CTRL_VQ));
    expect(without.driver.hasControl).toBe(false);
    expect(() => without.driver.setVlan(1, true)).toThrow(new TypeError('the device has no control queue'));
    without.end();
  });

  it('waits no longer than two seconds for a device that does not answer', () => {
    const bench = new Bench(undefined, undefined, false);
    const start = performance.now();
    expect(() => bench.driver.setPromiscuous(true)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_STALLED' }));
    expect(performance.now() - start).toBeLessThan(6000);
    bench.end();
  });

  it.each([
    ['merged buffers', FeatureSet.EMPTY],
    ['buffers for the longest packet', FeatureSet.of(VIRTIO_NET_F_MRG_RXBUF)],
    ['longer headers', FeatureSet.of(VIRTIO_NET_F_HASH_REPORT)],
  ])('takes what it left unfinished as it is, and cut where it does not take it, with %s', (_, lacks) => {
    const bench = new Bench(undefined, lacks);
    const [link] = bench.driver.links;
    const { bytes, layers } = testFrame({ payload: 5000 });
    const offload = {
      ...NO_OFFLOAD,
      flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
      gsoType: VIRTIO_NET_HDR_GSO_TCPV4,
      gsoSize: 2000,
      headerLength: layers.payload,
      checksumStart: layers.transport,
      checksumOffset: 16,
    };
    const target = new Uint8Array(9100);
    expect(link!.send(bytes, bytes.length, offload)).toBe(0);
    link!.flush();
    expect(link!.receive(target)).toBe(bytes.length);
    expect(target.subarray(0, bytes.length)).toEqual(bytes);
    expect(link!.header).toMatchObject(offload);
    expect(bench.driver.setGuestOffloads(FeatureSet.EMPTY)).toBe(true);
    expect(link!.send(bytes, bytes.length, offload)).toBe(0);
    link!.flush();
    expect([0, 1, 2, 3].map(() => link!.receive(target))).toEqual([2054, 2054, 1054, 0]);
    expect(link!.header).toMatchObject(NO_OFFLOAD);
    bench.end();
  });
});

/** A network device that delivers these bytes for every frame. */
class LyingDevice extends NetDevice {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super(OPTIONS);
    this.#bytes = bytes;
  }

  override process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: never): number {
    if (queue !== 0) return super.process(queue, chain, space, queues);
    super.process(queue, chain, space, queues);
    space.write(chain.low[0]!, chain.high[0]!, this.#bytes, 0, this.#bytes.length);
    return this.#bytes.length;
  }
}

describe('a header that a device may not write', () => {
  const { bytes } = testFrame({ payload: 100 });
  const received = (header: readonly number[], frame: Uint8Array = bytes): Uint8Array =>
    Uint8Array.from([...header, ...Array.from({ length: 20 - header.length }, () => 0), ...frame]);

  it.each([
    ['a checksum behind the frame', received([1, 0, 0, 0, 0, 0, 250, 0, 16, 0, 1, 0])],
    ['a type that was not accepted', received([1, 1, 54, 0, 100, 0, 34, 0, 16, 0, 1, 0])],
    ['segments of no bytes', received([1, 4, 54, 0, 0, 0, 34, 0, 16, 0, 1, 0])],
    ['headers longer than the frame', received([0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 1, 0])],
    ['no buffer', received([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['65535 buffers', received([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255])],
    ['no frame behind it', received([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], new Uint8Array(0))],
    ['no end', Uint8Array.of(0, 0, 0, 0)],
  ])('with %s is dropped and counted', (_, answer) => {
    const bench = new Bench(new LyingDevice(answer), FeatureSet.of(VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_USO4));
    const [link] = bench.driver.links;
    const target = new Uint8Array(9100);
    link!.send(bytes, bytes.length);
    link!.flush();
    expect(link!.receive(target)).toBe(0);
    expect(link!.malformed).toBe(1);
    bench.end();
  });
});
