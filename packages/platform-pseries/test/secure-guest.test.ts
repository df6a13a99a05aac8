import { coversMemoryOneToOne, FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DmaDirection, type DmaPath } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import plugin, {
  PseriesPlatform,
  pseriesOptionsSchema,
  SimulatedTceTables,
  TCE_FACILITY,
  ULTRAVISOR_FACILITY,
  type SimulatedUltravisor,
  type TceFacility,
} from '../src/index.ts';
import { simulatePseries } from '../src/simulated/simulate-pseries.ts';

const MIB = 2 ** 20;
const SECRET = 0x5e;
const WINDOWS = {
  identity: { kind: 'default', mapping: 'identity' },
  linear: { kind: 'ddw', mapping: 'linear' },
  translated: { kind: 'ddw', mapping: 'dynamic' },
} as const;

interface SecureGuest {
  readonly memory: GuestMemory;
  readonly platform: PseriesPlatform;
  readonly faults: FaultLog;
  readonly space: DeviceAddressSpace;
}

function bootSecureGuest(window: unknown, offersAccessPlatform = true): SecureGuest {
  const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
  const options = pseriesOptionsSchema.parse({ secure: true, pool: '256KiB', window });
  const hardware = simulatePseries(memory, options);
  const tables = hardware.facilities.get(TCE_FACILITY) as TceFacility;
  const ultravisor = hardware.facilities.get(ULTRAVISOR_FACILITY) as SimulatedUltravisor;
  const platform = new PseriesPlatform(options, memory, { tables, ultravisor });
  const faults = new FaultLog();
  const blueprint = hardware.addressSpace(offersAccessPlatform);
  return { memory, platform, faults, space: blueprint.open(memory, faults, structuredClone(blueprint.state)) };
}

describe('a secure POWER guest', () => {
  it.each([
    ['identity', 'bounced'],
    ['linear', 'bounced+linear'],
    ['translated', 'bounced+translated'],
  ] as const)('bounces in front of a window that is %s', (kind, path) => {
    const { memory, platform, space, faults } = bootSecureGuest(WINDOWS[kind]);
    expect(platform.traits).toMatchObject({ restrictedMemory: true, mappedPath: path });
    const mapping = platform.openMapping(path, { queue: 0, capacity: 4 });
    expect(mapping.path).toBe(path);
    const buffer = memory.allocate(4096);
    memory.u8.fill(SECRET, buffer, buffer + 4096);
    const words = new Uint32Array(2);
    const id = mapping.map(buffer, 100, DmaDirection.ToDevice, words, 0);
    const seen = new Uint8Array(100);
    expect(space.read(words[0]!, words[1]!, seen, 0, 100)).toBe(true);
    expect(seen.every((byte) => byte === SECRET)).toBe(true);
    expect(faults.count).toBe(0);
    mapping.unmap(id, 0);
    platform.dispose();
    expect(memory.allocated).toBe(4096);
  });

  it.each([true, false])(
    'denies access to pages that are not shared, also with ACCESS_PLATFORM: %s',
    (offersAccessPlatform) => {
      const { memory, platform, space, faults } = bootSecureGuest(WINDOWS.identity, offersAccessPlatform);
      platform.openMapping('bounced', { queue: 0, capacity: 4 });
      const secret = memory.allocate(4096);
      memory.u8.fill(SECRET, secret, secret + 4096);
      const seen = new Uint8Array(64);
      expect(space.read(secret, 0, seen, 0, 64)).toBe(false);
      expect(space.write(secret, 0, new Uint8Array(64), 0, 64)).toBe(false);
      expect(seen.every((byte) => byte === 0)).toBe(true);
      expect(memory.u8[secret]).toBe(SECRET);
      expect(faults.entries.map(({ access, cause }) => [access, cause])).toEqual([
        ['read', 'access-denied'],
        ['write', 'access-denied'],
      ]);
    },
  );

  it('gives physical addresses of shared slots to a device that ignores the tables', () => {
    const { memory, platform, space } = bootSecureGuest(WINDOWS.linear, false);
    expect(platform.traits.bounceIsPhysical).toBe(true);
    const mapping = platform.openMapping('bounced', { queue: 0, capacity: 4 });
    const words = new Uint32Array(2);
    mapping.map(memory.allocate(4096), 16, DmaDirection.ToDevice, words, 0);
    expect(words[1]).toBe(0);
    expect(space.borrow(words[0]!, 0, 16, 'read')).toBe(words[0]);
  });

  it('zeroes a page when it is shared and when it is made private', () => {
    const { memory, platform, space } = bootSecureGuest(WINDOWS.identity);
    const mapping = platform.openMapping('bounced', { queue: 0, capacity: 4 });
    memory.u8.fill(SECRET);
    const region = mapping.allocateCoherent(4096, 4096);
    expect(memory.u8[region.address]).toBe(0);
    const { generation } = space;
    memory.u8[region.address] = SECRET;
    region.release();
    expect(memory.u8[region.address]).toBe(0);
    expect(space.generation).not.toBe(generation);
  });

  it('needs an ultravisor of the machine', () => {
    expect(plugin.needsWith?.(pseriesOptionsSchema.parse({ secure: true }))).toEqual([ULTRAVISOR_FACILITY]);
    expect(plugin.needsWith?.(pseriesOptionsSchema.parse({}))).toEqual([]);
  });

  it('alone takes refused ultracalls', () => {
    const failures = { share: { nth: [1] } };
    expect(pseriesOptionsSchema.safeParse({ secure: true, failures }).success).toBe(true);
    const { error } = pseriesOptionsSchema.safeParse({ failures });
    expect(error?.issues).toMatchObject([{ path: ['failures', 'share'], message: expect.stringContaining('secure') }]);
  });

  it.each([
    ['linear', {}],
    ['translated', { mapping: 'dynamic' }],
  ] satisfies [DmaPath, unknown][])('takes no path but its own: not %s', (path, window) => {
    const { platform } = bootSecureGuest(window);
    expect(() => platform.openMapping(path, { queue: 0, capacity: 1 })).toThrow(TypeError);
  });
});

describe('frozen TCE tables', () => {
  it('refuse every change while they are frozen', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
    const options = pseriesOptionsSchema.parse({ window: WINDOWS.identity });
    const hardware = simulatePseries(memory, options);
    const tables = hardware.facilities.get(TCE_FACILITY) as SimulatedTceTables;
    const platform = new PseriesPlatform(options, memory, { tables });
    expect(platform.traits.identityVerified).toBe(true);
    const blueprint = hardware.addressSpace(true);
    const space = blueprint.open(memory, new FaultLog(), structuredClone(blueprint.state));
    expect(coversMemoryOneToOne(space)).toBe(true);
    const { liobn } = tables.defaultWindow;

    space.freeze!(true);
    expect(tables.putTce(liobn, 0x1000, 0, 0, 0)).toBe(-11);
    expect(tables.putTceIndirect(liobn, 0x1000, 0, new Uint32Array(2), 1)).toBe(-11);
    expect(tables.stuffTce(liobn, 0x1000, 0, 0, 0, 1)).toBe(-11);
    expect(tables.createWindow(12, 20).status).toBe(-1);
    expect(tables.removeWindow(liobn)).toBe(-1);
    expect(coversMemoryOneToOne(space)).toBe(true);

    space.freeze!(false);
    expect(tables.putTce(liobn, 0x1000, 0, 0, 0)).toBe(0);
    expect(coversMemoryOneToOne(space)).toBe(false);
  });
});
