import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { ForwardingTransport } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_PACKED } from '@virtio-platform/core/features';
import { describe, expect, it, vi } from 'vitest';
import { VirtioIommuPlatform } from '../src/index.ts';
import { openGuest, type IommuGuest } from './iommu-guest.ts';

interface RunningGuest extends IommuGuest {
  readonly platform: VirtioIommuPlatform;
}

function start(given: object = {}, megabytes = 4): RunningGuest {
  const guest = openGuest(given, megabytes);
  return { ...guest, platform: new VirtioIommuPlatform(guest.options, guest.memory, guest.unit) };
}

function interruptsOf({ platform }: RunningGuest): VirtioIommuPlatform['addressRanges'] {
  return platform.addressRanges.filter(({ kind }) => kind === 'interrupts');
}

const words = new Uint32Array(2);
const bytes = new Uint8Array(16);

describe.each(['split', 'packed'])('a guest behind a virtio-iommu with %s queues', (layout) => {
  it('lets the device reach a buffer while it is mapped, with its permissions', () => {
    const { memory, platform, space, faults } = start({ layout });
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 4 });
    const buffer = memory.allocate(PAGE_SIZE) + 8;
    memory.u8.fill(7, buffer, buffer + 16);
    const id = mapping.map(buffer, 16, DmaDirection.ToDevice, words, 0);
    expect(mapping.resolve!(words[0]!, words[1]!)).toBe(buffer);
    expect([space.read(words[0]!, words[1]!, bytes, 0, 16), bytes[15]]).toEqual([true, 7]);
    expect(space.write(words[0]!, words[1]!, bytes, 0, 16)).toBe(false);
    mapping.unmap(id, 0);
    expect(space.read(words[0]!, words[1]!, bytes, 0, 16)).toBe(false);
    expect(faults.entries.map(({ cause }) => cause)).toEqual(['write-not-permitted', 'unmapped']);
    const address = BigInt(words[0]!);
    expect(platform.recordedFaults()).toEqual([
      expect.objectContaining({ address, access: 'write', cause: 'unmapped', reason: 2 }),
      expect.objectContaining({ address, access: 'read', cause: 'unmapped', reason: 2 }),
    ]);
    expect(platform.recordedFaults()).toEqual([]);
    mapping.dispose();
    platform.dispose();
  });

  it('gives everything back, and begins again', () => {
    const { memory, platform, unit, options } = start({ layout });
    platform.dispose();
    expect(memory.allocated).toBe(0);
    new VirtioIommuPlatform(options, memory, unit).dispose();
    expect(memory.allocated).toBe(0);
  });

  it('gives everything back where memory is exhausted before it runs', () => {
    const { memory, options, unit } = openGuest({ layout, eventBuffers: 1024 }, 1);
    const held: number[] = [];
    while (memory.size - memory.allocated > PAGE_SIZE) held.push(memory.allocate(PAGE_SIZE));
    const start = (): boolean => {
      const before = memory.allocated;
      try {
        new VirtioIommuPlatform(options, memory, unit).dispose();
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_DMA_EXHAUSTED' });
        return false;
      } finally {
        expect(memory.allocated).toBe(before);
      }
    };
    let refused = 0;
    for (; !start(); refused++) memory.free(held.pop()!);
    expect(refused).toBeGreaterThan(1);
  });

  it('drops events for which it gave no buffer, and reads later ones', () => {
    const { platform, space } = start({ layout, eventBuffers: 4 });
    for (let i = 0; i < 10; i++) space.read(0x1000 * i, 0, bytes, 0, 4);
    expect(platform.recordedFaults()).toHaveLength(4);
    space.read(0x5_0000, 0, bytes, 0, 4);
    expect(platform.recordedFaults().map(({ address }) => address)).toEqual([0x5_0000n]);
    expect(platform.statistics['unit']).toMatchObject({ events: 5 });
  });
});

/** Whether the device reaches an address that nothing was mapped at. */
function reach({ space }: IommuGuest): boolean {
  return space.read(0x3000, 0, bytes, 0, 4);
}

describe('bypass', () => {
  it('is on at boot as the unit has it, before any driver', () => {
    expect(reach(openGuest())).toBe(true);
    expect(reach(openGuest({ unit: { bootBypass: false } }))).toBe(false);
  });

  it.each([
    ['off', true, false],
    ['on', false, true],
    ['keep', true, true],
    ['keep', false, false],
  ])('%s over a boot with %s: a reset of the unit leaves it %s', (bypass, bootBypass, isOn) => {
    const guest = start({ bypass, unit: { bootBypass } });
    expect(reach(guest)).toBe(false);
    guest.platform.dispose();
    expect(reach(guest)).toBe(isOn);
  });

  it('stays on after a driver that does not know the field', () => {
    const guest = start({ lacks: ['IOMMU_BYPASS_CONFIG'] });
    expect(reach(guest)).toBe(false);
    guest.platform.dispose();
    expect(reach(guest)).toBe(true);
  });

  it('of a unit of before is what the driver accepts', () => {
    const guest = start({ domain: 'bypass', unit: { bypass: 'feature', bootBypass: false } });
    expect(reach(guest)).toBe(true);
    expect(guest.platform.traits).toMatchObject({ mappedPath: 'identity', identityVerified: true, isolates: false });
  });

  it('reports an endpoint without a domain as such', () => {
    const guest = start({ unit: { bootBypass: false } });
    guest.platform.dispose();
    reach(guest);
    expect(guest.faults.entries[0]).toMatchObject({ cause: 'unmapped' });
  });
});

describe('reserved regions', () => {
  const unit = {
    reserved: [
      { start: 0x10_0000, size: '64KiB' },
      { start: 0xfee0_0000, size: '1MiB', kind: 'msi' },
    ],
  };

  it('are told by PROBE', () => {
    expect(start({ unit }).platform.reserved).toEqual([
      { kind: 'reserved', start: 0x10_0000n, end: 0x10_ffffn },
      { kind: 'msi', start: 0xfee0_0000n, end: 0xfeef_ffffn },
    ]);
  });

  it('are holes of an identity domain', () => {
    const { platform, space, faults } = start({ unit, domain: 'identity' });
    expect(platform.traits).toMatchObject({ identityVerified: true, reachesAllMemory: false });
    expect(space.read(0xf_f000, 0, new Uint8Array(4096), 0, 4096)).toBe(true);
    expect(space.read(0x10_0000, 0, bytes, 0, 4)).toBe(false);
    expect(space.read(0x11_0000, 0, bytes, 0, 4)).toBe(true);
    expect(faults.entries[0]!.cause).toBe('outside-window');
  });

  it('of interrupts are no memory and no event', () => {
    const { platform, space } = start({ unit });
    expect(space.write(0xfee0_0000, 0, bytes, 0, 4)).toBe(false);
    expect(platform.recordedFaults()).toEqual([]);
    expect(platform.traits.interruptsExposed).toBe(true);
  });

  it('of interrupts are stated as such, and others are not', () => {
    expect(interruptsOf(start({ unit }))).toEqual([
      { what: 'MSI region of the unit', kind: 'interrupts', deviceAddress: 0xfee0_0000n, length: 0x10_0000 },
    ]);
    expect(interruptsOf(start({ unit: { reserved: [unit.reserved[0]] } }))).toEqual([]);
  });
});

class Odd extends ForwardingTransport {
  override readonly deviceId: number = 2;
}

class Silent extends ForwardingTransport {
  override notify(): void {}
}

class Mute extends ForwardingTransport {
  override readDeviceFeatures(): FeatureSet {
    return super.readDeviceFeatures().without(2);
  }
}

class Split extends ForwardingTransport {
  override readDeviceFeatures(): FeatureSet {
    return super.readDeviceFeatures().without(VIRTIO_F_RING_PACKED);
  }
}

describe('a unit that is none, or is broken', () => {
  it.each([
    ['another device', Odd, {}, /the type 2, not 23/],
    ['one that maps nothing', Mute, {}, /MAP_UNMAP/],
    ['one without the layout that the profile asks for', Split, { layout: 'packed' }, /RING_PACKED/],
  ])('%s is refused', (_what, Wrapper, given, message) => {
    const { memory, options, unit } = openGuest(given);
    const facility = { transport: new Wrapper(unit), endpoint: 0x20 };
    expect(() => new VirtioIommuPlatform(options, memory, facility)).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED', message: expect.stringMatching(message) }),
    );
  });

  it('has split queues where it has no others, and none are asked for', () => {
    const { memory, options, unit } = openGuest();
    new VirtioIommuPlatform(options, memory, { transport: new Split(unit), endpoint: 0x20 }).dispose();
    expect(memory.allocated).toBe(0);
  });

  it('that does not answer is given up after five seconds', () => {
    const { memory, options, unit } = openGuest({ unit: { probe: false } });
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
    const facility = { transport: new Silent(unit), endpoint: 0x20 };
    try {
      expect(() => new VirtioIommuPlatform(options, memory, facility)).toThrow(/ATTACH: no answer in 5000 ms/);
    } finally {
      clock.mockRestore();
    }
    expect(memory.allocated).toBe(0);
  });

  it('with another endpoint behind it is refused', () => {
    const { memory, options, unit } = openGuest();
    const facility = { transport: unit, endpoint: 0x28 };
    expect(() => new VirtioIommuPlatform(options, memory, facility)).toThrow(/answers PROBE of endpoint 40 with NOENT/);
    expect(memory.allocated).toBe(0);
  });
});

describe('an UNMAP that the unit does not confirm', () => {
  it('keeps pages and memory until it does', () => {
    const { memory, platform, space } = start({ failures: { unmap: { nth: [2, 3, 4] } } });
    expect(platform.traits.identityVerified).toBe(false);
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 4 });
    const buffer = memory.allocate(PAGE_SIZE);
    const other = mapping.map(buffer, 16, DmaDirection.ToDevice, new Uint32Array(2), 0);
    const id = mapping.map(buffer, 16, DmaDirection.ToDevice, words, 0);
    mapping.unmap(id, 0);
    expect([platform.keptBytes, platform.leaks.count, mapping.statistics.leaked]).toEqual([PAGE_SIZE, 1, 1]);
    expect(mapping.resolve!(words[0]!, words[1]!)).toBe(-1);
    expect(mapping.walk!(words[0]!, words[1]!)[0]!.says).toMatch(/did not confirm/);
    expect(space.read(words[0]!, words[1]!, bytes, 0, 4)).toBe(true);
    mapping.unmap(other, 0);
    expect([platform.keptBytes, platform.leaks.count]).toEqual([0, 0]);
    expect(space.read(words[0]!, words[1]!, bytes, 0, 4)).toBe(false);
  });
});
