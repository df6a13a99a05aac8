import { GUEST_MEMORY, PLATFORM, PLUGIN_API_VERSION, type Platform } from '@virtio-platform/core';
import { DmaDirection, probeIdentity } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { negotiate, type NegotiationResult } from '@virtio-platform/core/negotiation';
import { container } from 'tsyringe';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import plugin, {
  H_HARDWARE,
  H_SUCCESS,
  PseriesPlatform,
  pseriesOptionsSchema,
  SimulatedTceTables,
  TCE_FACILITY,
} from '../src/index.ts';
import { RefusingTceTables } from './refusing-tce-tables.ts';

const MIB = 2 ** 20;
const LIOBN = 0x8000_0000;
const IDENTITY = { kind: 'default', mapping: 'identity' };
const V1_AP = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM);

interface Bench {
  readonly memory: GuestMemory;
  readonly tables: RefusingTceTables;
  readonly platform: Platform;
}

function openBench(window: unknown, defaultWindowSize = 2 ** 30): Bench {
  const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
  const tables = new RefusingTceTables({ memorySize: memory.size, defaultWindowSize });
  return { memory, tables, platform: new PseriesPlatform(pseriesOptionsSchema.parse({ window }), memory, { tables }) };
}

function permission(tables: SimulatedTceTables, page: number): number {
  const words = new Uint32Array(2);
  expect(tables.getTce(LIOBN, page * 4096, 0, words)).toBe(H_SUCCESS);
  return words[0]! & 3;
}

function negotiateWith(platform: Platform, offered: FeatureSet): NegotiationResult {
  const input = {
    deviceFeatures: BLOCK_FEATURES,
    interface: 'modern',
    offered,
    supported: V1_AP,
    carries: V1_AP,
  } as const;
  return negotiate({ ...input, traits: platform.traits, privilege: 'kernel' }, platform.rules);
}

describe('the plugin pseries', () => {
  it('binds a platform that a container can resolve', () => {
    const { memory, tables } = openBench({});
    const child = container.createChildContainer();
    child.register(GUEST_MEMORY, { useValue: memory });
    child.register(TCE_FACILITY, { useValue: tables });
    plugin.register(child, pseriesOptionsSchema.parse({ guestEndian: 'big' }));
    const platform = child.resolve(PLATFORM);
    expect(platform).toBeInstanceOf(PseriesPlatform);
    expect(platform.guestByteOrder).toBe('big');
  });

  it('states its name and the facility that it needs', () => {
    expect(plugin).toMatchObject({
      kind: 'platform',
      name: 'pseries',
      apiVersion: PLUGIN_API_VERSION,
      needs: [TCE_FACILITY],
    });
  });
});

describe('the traits of PseriesPlatform', () => {
  it('verify an identity table', () => {
    const { platform, tables } = openBench(IDENTITY);
    expect(permission(tables, 5)).toBe(0);
    expect(platform.traits).toMatchObject({
      isolates: false,
      reachesAllMemory: true,
      restrictedMemory: false,
      mappedPath: 'identity',
      identityVerified: true,
    });
    expect(permission(tables, 1023)).toBe(3);
    expect(permission(tables, 1024)).toBe(0);
  });

  it('do not verify a table that differs from identity', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
    /** Stores every entry one page too far. */
    class ShiftedTables extends SimulatedTceTables {
      override putTceIndirect(liobn: number, low: number, high: number, list: Uint32Array, count: number): number {
        const shifted = list.map((word, i) => (i % 2 === 0 ? word + 4096 : word));
        return super.putTceIndirect(liobn, low, high, shifted, count);
      }
    }
    const tables = new ShiftedTables({ memorySize: memory.size, defaultWindowSize: 2 ** 30 });
    const platform = new PseriesPlatform(pseriesOptionsSchema.parse({ window: IDENTITY }), memory, { tables });
    expect(platform.traits.identityVerified).toBe(false);
    expect(negotiateWith(platform, V1_AP).refusal).toMatchObject({
      code: 'EINVAL',
      rule: 'path-follows-access-platform',
    });
  });

  it.each([
    [{}, 'linear', /2\^59/],
    [{ mapping: 'dynamic' }, 'translated', /64-bit window.*64KiB/],
    [{ kind: 'default' }, 'translated', /default 32-bit window.*4KiB/],
  ])('of %j program nothing and say what an address means', (window, mappedPath, meaning) => {
    const { platform, tables } = openBench(window);
    expect(platform.traits).toMatchObject({ mappedPath, identityVerified: false });
    expect(platform.traits.addressMeaning).toMatch(meaning);
    expect(tables.queryWindows().available).toBe(1);
  });
});

describe('the identity probe', () => {
  it('passes through the identity table', () => {
    const { platform, memory } = openBench(IDENTITY);
    expect(probeIdentity(platform.openMapping('identity', { queue: 0, capacity: 4 }), memory)).toBe(true);
  });

  it('fails through the 64-bit window, which is linear and off by 2^59', () => {
    const { platform, memory } = openBench({ kind: 'ddw', mapping: 'linear' });
    const mapping = platform.openMapping('linear', { queue: 0, capacity: 4 });
    expect(probeIdentity(mapping, memory)).toBe(false);
    const words = new Uint32Array(2);
    mapping.map(0x12345, 16, DmaDirection.ToDevice, words, 0);
    expect([...words]).toEqual([0x12345, 0x0800_0000]);
  });
});

describe('negotiation on pseries', () => {
  it.each([
    [IDENTITY, 'identity'],
    [{}, 'linear'],
    [{ mapping: 'dynamic' }, 'translated'],
    [{ kind: 'default' }, 'translated'],
  ])('with %j takes the path %s for a device that offers ACCESS_PLATFORM', (window, path) => {
    expect(negotiateWith(openBench(window).platform, V1_AP)).toMatchObject({
      path,
      accepted: V1_AP,
      refusal: undefined,
    });
  });

  it('selects physical addresses for a device without ACCESS_PLATFORM, and notes that it ignores the TCEs', () => {
    const { platform, tables } = openBench({});
    const result = negotiateWith(platform, FeatureSet.of(VIRTIO_F_VERSION_1));
    expect(result.path).toBe('physical');
    const trace = result.trace.find(({ rule }) => rule === 'pseries-plain-device-ignores-tces');
    expect(trace?.says.join()).toContain('ignores the TCE tables');
    expect(tables.queryWindows().available).toBe(1);
  });
});

describe('PseriesPlatform.openMapping', () => {
  it('opens one window for all queues', () => {
    const { platform, tables } = openBench({ mapping: 'dynamic', pageSize: '4KiB' });
    const words = new Uint32Array(4);
    for (const queue of [0, 1]) {
      platform
        .openMapping('translated', { queue, capacity: 4 })
        .map(0x1000, 16, DmaDirection.ToDevice, words, 2 * queue);
    }
    expect([...words]).toEqual([0, 0x0800_0000, 0x1000, 0x0800_0000]);
    expect(tables.queryWindows().available).toBe(0);
  });

  it('refuses a path other than that of its traits', () => {
    const { platform } = openBench({});
    expect(() => platform.openMapping('identity', { queue: 0, capacity: 4 })).toThrow(TypeError);
  });

  it('reaches only as much memory as an identity window covers', () => {
    const { platform } = openBench(IDENTITY, MIB);
    const mapping = platform.openMapping('identity', { queue: 0, capacity: 4 });
    const words = new Uint32Array(2);
    expect(mapping.map(MIB - 16, 16, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
    expect(mapping.map(MIB - 15, 16, DmaDirection.ToDevice, words, 0)).toBeLessThan(0);
  });

  it.each([
    ['linear', {}],
    ['identity', IDENTITY],
  ] as const)('leaves no window and no entry behind when the table cannot be written: %s', (path, window) => {
    const { platform, tables } = openBench(window);
    tables.putStatus = H_HARDWARE;
    tables.putsLeft = path === 'identity' ? 1 : 0;
    const failure = expect.objectContaining({ code: 'ERR_DMA_WINDOW', message: expect.stringContaining('answers -1') });
    expect(() => platform.openMapping(path, { queue: 0, capacity: 4 })).toThrow(failure);
    expect(tables.queryWindows().available).toBe(1);
    expect([permission(tables, 0), permission(tables, 600)]).toEqual([0, 0]);
  });
});

describe('PseriesPlatform.dispose', () => {
  it.each([
    ['linear', {}],
    ['translated', { mapping: 'dynamic' }],
    ['identity', IDENTITY],
  ] as const)('gives back what it took: %s', (path, window) => {
    const { platform, tables, memory } = openBench(window);
    platform.openMapping(path, { queue: 0, capacity: 4 }).dispose();
    platform.dispose();
    platform.dispose();
    expect(tables.queryWindows().available).toBe(1);
    expect(permission(tables, 5)).toBe(0);
    expect(memory.allocated).toBe(0);
    expect(() => platform.openMapping(path, { queue: 0, capacity: 4 })).toThrow(TypeError);
  });
});
