import fc from 'fast-check';
import type { DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import {
  NET_DRIVER_FEATURES,
  NetDevice,
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MQ,
  VIRTIO_NET_CTRL_RX,
  VIRTIO_NET_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_HASH_REPORT,
  VIRTIO_NET_F_MAC,
  type NetDeviceOptions,
} from '@virtio-platform/device-net';
import { describe, expect, it } from 'vitest';
import { runMixed } from './work-host.ts';

const FEATURES = [...NET_DRIVER_FEATURES].filter((bit) => bit !== VIRTIO_NET_F_MAC);

describe('random frames and commands', () => {
  it('come back as the model says: 10,000 operations of random seeds, features, pairs and sizes', async () => {
    const property = fc.asyncProperty(
      fc.integer({ min: 1 }),
      fc.subarray(FEATURES, { maxLength: 6 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 128, max: 3000 }),
      fc.option(fc.integer({ min: 200, max: 1500 }), { nil: undefined }),
      async (seed, lacking, pairs, blockSize, mtu) => {
        const lacks = FeatureSet.of(...lacking);
        const run = { seed, lacks, pairs, requests: 500, options: { blockSize }, device: { mtu } };
        const { done, error } = await runMixed(run);
        expect({ error, mismatches: done.mismatches.first, requests: done.requests }).toEqual({
          error: undefined,
          mismatches: [],
          requests: 500,
        });
      },
    );
    await fc.assert(property, { numRuns: 20 });
  });

  it('go on through announcements and a link that goes down', async () => {
    const events = [
      { after: 50, do: 'announce', milliseconds: 1 },
      { after: 100, do: 'link-down', milliseconds: 5 },
      { after: 300, do: 'announce', milliseconds: 1 },
      { after: 600, do: 'link-down', milliseconds: 5 },
    ] as const;
    const { done, error } = await runMixed({ device: { events }, requests: 1500 });
    expect(error).toBeUndefined();
    expect(done).toMatchObject({ requests: 1500, mismatches: { first: [] } });
  });
});

/** A device half that does something else with some commands, or with the bytes that it writes. */
class WrongDevice extends NetDevice {
  /** The class of commands that are acknowledged and not done; all those that are refused are acknowledged with -1. */
  readonly #ignores: number;
  readonly #spoil: ((bytes: Uint8Array, at: number, length: number) => void) | undefined;
  readonly #control: number;

  constructor(
    options: NetDeviceOptions,
    ignores: number,
    spoil?: (bytes: Uint8Array, at: number, length: number) => void,
  ) {
    super(options);
    this.#ignores = ignores;
    this.#spoil = spoil;
    this.#control = 2 * options.queuePairs;
  }

  override process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (queue === this.#control && this.#ignores >= -1) {
      const ofClass = new Uint8Array(1);
      space.read(chain.low[0]!, chain.high[0]!, ofClass, 0, 1);
      const written = this.#ignores === ofClass[0] ? 1 : super.process(queue, chain, space, queues);
      const at = chain.readable;
      if (this.#ignores === ofClass[0] || this.#ignores === -1)
        space.write(chain.low[at]!, chain.high[at]!, Uint8Array.of(0), 0, 1);
      return written;
    }
    const spoil = this.#spoil;
    if (spoil === undefined || queue === this.#control) return super.process(queue, chain, space, queues);
    const spoiling = Object.create(space, {
      write: {
        value: (low: number, high: number, source: Uint8Array, from: number, length: number) => {
          const copy = source.slice(from, from + length);
          spoil(copy, from, length);
          return space.write(low, high, copy, 0, length);
        },
      },
      read: {
        value: (low: number, high: number, target: Uint8Array, from: number, length: number) =>
          space.read(low, high, target, from, length),
      },
    }) as DeviceAddressSpace;
    return super.process(queue, chain, spoiling, queues);
  }
}

/** Does something with each hundredth piece of this many bytes at least. */
function eachHundredth(least: number, spoil: (bytes: Uint8Array) => void): (bytes: Uint8Array) => void {
  let pieces = 0;
  return (bytes) => {
    if (bytes.length >= least && ++pieces % 100 === 0) spoil(bytes);
  };
}

describe('a device that', () => {
  it.each<[string, (options: NetDeviceOptions) => NetDevice]>([
    ['ignores receive modes', (options) => new WrongDevice(options, VIRTIO_NET_CTRL_RX)],
    ['ignores addresses', (options) => new WrongDevice(options, VIRTIO_NET_CTRL_MAC)],
    ['ignores VLANs', (options) => new WrongDevice(options, VIRTIO_NET_CTRL_VLAN)],
    ['ignores pairs, scaling and hashes', (options) => new WrongDevice(options, VIRTIO_NET_CTRL_MQ)],
    ['acknowledges every command', (options) => new WrongDevice(options, -1)],
    [
      'changes the last byte of a frame',
      (options) =>
        new WrongDevice(
          options,
          -2,
          eachHundredth(60, (bytes) => (bytes[bytes.length - 1]! ^= 1)),
        ),
    ],
    [
      'changes a checksum',
      (options) =>
        new WrongDevice(
          options,
          -2,
          eachHundredth(60, (bytes) => (bytes[50]! ^= 0x40)),
        ),
    ],
    ['gives no hash', (options) => new WrongDevice(options, -2, (bytes) => bytes.length === 20 && bytes.fill(0, 12))],
    [
      'says that a frame is left unfinished which is not',
      (options) => new WrongDevice(options, -2, (bytes) => bytes.length === 20 && (bytes[0] = 1)),
    ],
  ])('%s is noticed', async (_, make) => {
    const { done, error } = await runMixed({ make, requests: 3000, pairs: 3 });
    expect(error !== undefined || done.mismatches.first.length > 0).toBe(true);
  });

  it.each([VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_HASH_REPORT])('lacks feature %i is verified without it', async (bit) => {
    const { done, error } = await runMixed({ lacks: FeatureSet.of(bit), requests: 500 });
    expect([error, done.mismatches.first, done.requests]).toEqual([undefined, [], 500]);
  });
});
