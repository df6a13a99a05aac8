import assert from 'node:assert/strict';
import { facilityName, isCodedError, type FacilityToken, type PlatformPlugin } from '@virtio-platform/core';
import { coversMemoryOneToOne, FaultLog } from '@virtio-platform/core/address-space';
import { DmaDirection, probeCoherentIdentity, probeIdentity } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { deviceRead, deviceWrite, hex, mapBuffer, pattern, reaches, regionAddress } from '../dma/dma-trial.ts';
import { checkOptions, openPlatform } from '../../testing/open-plugin.ts';
import { MAPPING_CAPACITY, openSubject, promisedAccess, type PlatformPluginSubject } from './platform-subject.ts';

function neededFacilities(plugin: PlatformPlugin, options: unknown): readonly FacilityToken[] {
  return [...plugin.needs, ...(plugin.needsWith?.(options) ?? [])];
}

/** The duties of a platform's hardware in software, and of traits that the device's side shows to be true. */
export const HARDWARE_CHECKS: readonly ContractCheck<PlatformPluginSubject>[] = [
  {
    name: 'names the facilities that it needs',
    duty:
      'PlatformPlugin.needs: what a machine has to provide; PlatformPlugin.needsWith: what a machine has to provide ' +
      'beside `needs`; FacilityToken: a symbol whose description names it',
    advice: "list tokens made with Symbol.for('my-platform:Table')",
    async run({ plugin, options }) {
      const needs = neededFacilities(plugin, await checkOptions(plugin, options));
      if (needs.length === 0) skipCheck('the plugin needs no facility');
      for (const need of needs) assert.ok(typeof need === 'symbol' && need.description, 'a facility is a named symbol');
      assert.equal(new Set(needs).size, needs.length, 'no facility is needed twice');
    },
  },
  {
    name: 'says what it needs a requester id for',
    duty: 'PlatformPlugin.needsRequesterId: what it needs the requester id of the device for; undefined where it needs none',
    advice: 'return the end of a sentence that begins with the platform, or undefined',
    async run({ plugin, options }) {
      if (plugin.needsRequesterId === undefined) skipCheck('the plugin needs no requester id');
      const why = plugin.needsRequesterId(await checkOptions(plugin, options));
      assert.ok(why === undefined || (typeof why === 'string' && why.length > 0), 'the reason is a text, or undefined');
    },
  },
  {
    name: 'simulates every facility that it needs',
    duty: 'SimulatedHardware.facilities: the facility the driver’s side programs',
    advice: 'put an implementation of each token of `needs` and `needsWith` into `facilities`',
    async run(subject) {
      const { plugin } = subject;
      if (plugin.simulate === undefined) skipCheck('the plugin has no `simulate`: it runs on real machines only');
      const memory = new GuestMemory(new SharedArrayBuffer(subject.memory));
      const options = await checkOptions(plugin, subject.options);
      const { facilities } = plugin.simulate(memory, options);
      for (const need of neededFacilities(plugin, options))
        assert.ok(facilities.has(need), `${facilityName(need)} is simulated`);
    },
  },
  {
    name: 'reads in `simulate` alone what it calls simulated',
    duty: 'PlatformPlugin.simulatedOptions: options that only `simulate` reads, each by its dotted path',
    advice: 'list the options of the simulated hardware, and none that `register` or the platform reads',
    async run(subject) {
      const { plugin, memory, addressing } = subject;
      if (plugin.simulate === undefined || plugin.simulatedOptions === undefined)
        skipCheck('the plugin calls no option simulated');
      const options = await checkOptions(plugin, subject.options);
      const read: string[] = [];
      const watched = plugin.simulatedOptions.reduce<unknown>(
        (whole, option) => watchOption(whole, option.split('.'), () => read.push(option)),
        options,
      );
      const simulated: PlatformPlugin = { ...plugin, simulate: (guest) => plugin.simulate!(guest, options) };
      const { openMapping, dispose } = openPlatform(simulated, watched, { memory, addressing });
      openMapping(0, MAPPING_CAPACITY).dispose();
      dispose();
      assert.deepEqual(read, [], 'options that the platform itself reads have an effect on every machine');
    },
  },
  {
    name: 'has the byte order of its simulated guest',
    duty: 'Platform.guestByteOrder: the guest’s own; SimulatedHardware.guestByteOrder: little-endian unless given',
    advice: 'state the same byte order in the platform and in the simulated hardware',
    async run(subject) {
      const { platform, hardware, dispose } = await openSubject(subject);
      assert.ok(['little', 'big'].includes(platform.guestByteOrder), `guestByteOrder ${platform.guestByteOrder}`);
      assert.equal(hardware.guestByteOrder ?? 'little', platform.guestByteOrder, 'of the simulated hardware');
      dispose();
    },
  },
  {
    name: 'claims identity only where a probe finds it',
    duty: 'PlatformTraits.identityVerified: a device address was compared with its physical address and found equal',
    advice: 'set it from probeIdentity of @virtio-platform/core/dma; undefined where the platform runs no probe',
    async run(subject) {
      const { platform, memory, openMapping, dispose } = await openSubject(subject);
      const { traits } = platform;
      const mapping = openMapping(0, MAPPING_CAPACITY);
      const probed = probeIdentity(mapping, memory);
      if (traits.mappedPath === 'identity')
        assert.equal(traits.identityVerified, probed, 'identity is probed, not assumed');
      else assert.notEqual(traits.identityVerified === true && !probed, true, 'a claim the probe does not bear out');
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'claims to reach all memory only where the device does',
    duty: 'PlatformTraits.reachesAllMemory: the verified identity holds for all of guest memory',
    advice: 'leave the trait out, or let the device reach every page at its physical address',
    async run(subject) {
      const { platform, space, openMapping, dispose } = await openSubject(subject);
      const { traits } = platform;
      if (traits.reachesAllMemory !== true) skipCheck('reachesAllMemory is not stated');
      const mapping = openMapping(0, MAPPING_CAPACITY);
      assert.ok(coversMemoryOneToOne(space), 'the device reads and writes all of memory at its physical addresses');
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'claims physical slots only where a probe finds them',
    duty: 'PlatformTraits.bounceIsPhysical: the device address of a shared bounce slot is its physical address',
    advice: 'set it from probeCoherentIdentity of @virtio-platform/core/dma',
    async run(subject) {
      const { platform, dispose } = await openSubject(subject);
      if (platform.traits.bounceIsPhysical !== true) skipCheck('bounceIsPhysical is not stated');
      const mapping = platform.openMapping('bounced', { queue: 0, capacity: MAPPING_CAPACITY });
      assert.ok(probeCoherentIdentity(mapping), 'coherent memory of the path bounced has its physical address');
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'keeps a device away from what was never mapped',
    duty: 'PlatformTraits.isolates: an IOMMU lets each device reach only what was mapped for it',
    advice: 'refuse every address that has no entry in your tables; or state isolates: false',
    async run(subject) {
      const { platform, memory, space, openMapping, dispose } = await openSubject(subject);
      const { isolates, mappedPath } = platform.traits;
      const { revokes, because } = promisedAccess(platform.traits);
      if (!isolates || !revokes) skipCheck(because);
      const mapping = openMapping(0, MAPPING_CAPACITY);
      const secret = memory.allocate(PAGE_SIZE);
      memory.u8.set(pattern(64), secret);
      for (const address of [BigInt(secret), 0n, BigInt(memory.size - PAGE_SIZE)]) {
        const what = `on the path ${mappedPath}, with nothing mapped, the device reaches ${hex(address)}`;
        for (const access of ['read', 'write'] as const) assert.ok(!reaches(space, address, access), what);
      }
      memory.free(secret);
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'keeps private memory from the device',
    duty: 'PlatformTraits.restrictedMemory: a device reaches only what was shared with it',
    advice: 'give the device ciphertext, zeros or a refusal at a page that was not shared',
    async run(subject) {
      const { platform, hardware, memory, space, openMapping, dispose } = await openSubject(subject);
      if (!platform.traits.restrictedMemory) skipCheck('restrictedMemory is false');
      const mapping = openMapping(0, MAPPING_CAPACITY);
      const coherent = mapping.allocateCoherent(PAGE_SIZE, PAGE_SIZE);
      const offset = regionAddress(coherent) - BigInt(coherent.address);
      const secret = memory.allocate(PAGE_SIZE, PAGE_SIZE);
      const blueprint = hardware.addressSpace(false);
      const plain = blueprint.open(memory, new FaultLog(), blueprint.state);
      for (const [device, address] of [
        [space, BigInt(secret)],
        [space, BigInt.asUintN(64, BigInt(secret) + offset)],
        [plain, BigInt(secret)],
      ] as const) {
        memory.u8.set(pattern(256), secret);
        assert.notDeepEqual(deviceRead(device, address, 256), pattern(256), `the device reads ${hex(address)}`);
        deviceWrite(device, address, pattern(256, 1));
        const now = memory.u8.slice(secret, secret + 256);
        assert.notDeepEqual(now, pattern(256, 1), `the device writes private memory at ${hex(address)}`);
        assert.equal(device.borrow(Number(address & 0xffff_ffffn), Number(address >> 32n), 64, 'read'), -1);
      }
      coherent.release();
      memory.free(secret);
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'gives a device without ACCESS_PLATFORM the addresses that its traits say',
    duty: 'SimulatedHardware.addressSpace: by whether the device offers ACCESS_PLATFORM; such a device takes physical addresses',
    advice: 'return PHYSICAL_ADDRESS_SPACE for false, or state restrictedMemory, confinesEveryDevice or mapsUnflagged',
    async run(subject) {
      const { platform, hardware, memory, dispose } = await openSubject(subject);
      const { restrictedMemory, confinesEveryDevice, mapsUnflagged, reachesAllMemory } = platform.traits;
      const blueprint = hardware.addressSpace(false);
      const space = blueprint.open(memory, new FaultLog(), structuredClone(blueprint.state));
      const reachesAll = coversMemoryOneToOne(space);
      dispose();
      if (restrictedMemory) skipCheck('restrictedMemory: what it reaches is what was shared');
      if (mapsUnflagged === true) skipCheck('mapsUnflagged: such a device is mapped too');
      if (confinesEveryDevice !== true) assert.ok(reachesAll, 'it reaches guest memory at its physical addresses');
      else if (reachesAllMemory !== true)
        assert.ok(!reachesAll, 'confinesEveryDevice is stated, and it reaches all memory');
    },
  },
  {
    name: 'reports of its bounce pool what is in use',
    duty: 'Platform.bouncePool: what became of the slots that buffers are copied through; undefined while there are none',
    advice: 'return the statistics of the BouncePool that openMapping opened',
    async run(subject) {
      const { platform, memory, openMapping, dispose } = await openSubject(subject);
      const mapping = openMapping(0, MAPPING_CAPACITY);
      if (platform.bouncePool === undefined) {
        const { mappedPath } = platform.traits;
        mapping.dispose();
        dispose();
        skipCheck(`no bounce pool is reported on the path ${mappedPath}`);
      }
      const buffer = memory.allocate(PAGE_SIZE);
      const used = (): number => platform.bouncePool?.used ?? -1;
      const before = used();
      const { id } = mapBuffer(mapping, buffer, PAGE_SIZE, DmaDirection.ToDevice);
      const { slots, highWater } = platform.bouncePool;
      assert.ok(
        used() > before && highWater >= used() && slots >= used(),
        `${used()} of ${slots} slots with a mapping`,
      );
      mapping.unmap(id, 0);
      assert.equal(used(), before, 'the slots are free after unmap');
      memory.free(buffer);
      mapping.dispose();
      dispose();
    },
  },
  {
    name: 'reads the faults that its IOMMU recorded once',
    duty: 'Platform.recordedFaults: what the IOMMU recorded of the device since the last call; cleared there',
    advice: 'clear the fault registers when they are read, and decode address, length and access of each',
    async run(subject) {
      const { platform, space, openMapping, dispose } = await openSubject(subject);
      if (platform.recordedFaults === undefined) skipCheck('the platform reads no fault registers');
      const mapping = openMapping(0, MAPPING_CAPACITY);
      assert.deepEqual(platform.recordedFaults(), [], 'nothing is recorded before a fault');
      const address = 1n << 30n;
      const isRefused = deviceRead(space, address, 16) === undefined;
      const recorded = platform.recordedFaults();
      assert.deepEqual(platform.recordedFaults(), [], 'reading the faults clears them');
      mapping.dispose();
      dispose();
      if (!isRefused) skipCheck('the device reaches the address that this check takes for a fault');
      if (recorded.length === 0) skipCheck('the IOMMU records no fault of this access');
      for (const { access, cause, length } of recorded) {
        assert.deepEqual([access, cause.length > 0, length > 0], ['read', true, true], 'the recorded fault');
      }
    },
  },
  {
    name: 'says so where guest memory is exhausted, and goes on when there is some again',
    duty: 'Platform.openMapping and DmaMapping.allocateCoherent: throw DmaError',
    advice: 'let the DmaError of GuestMemory.allocate pass, after undoing what was done until then',
    async run(subject) {
      const { memory, openMapping, dispose } = await openSubject(subject);
      const taken = exhaust(memory);
      const { allocated } = memory;
      try {
        const mapping = openMapping(0, MAPPING_CAPACITY);
        try {
          mapping.allocateCoherent(64 * PAGE_SIZE, 16).release();
        } finally {
          mapping.dispose();
        }
      } catch (error) {
        assert.ok(isCodedError(error), `a coded error is thrown, not ${String(error)}`);
      }
      assert.ok(memory.allocated <= allocated, 'the failed call leaves no guest memory allocated');
      for (const address of taken) memory.free(address);
      const again = openMapping(0, MAPPING_CAPACITY);
      again.allocateCoherent(PAGE_SIZE, 16).release();
      again.dispose();
      dispose();
    },
  },
];

/** Allocates guest memory until none is left. */
function exhaust(memory: GuestMemory): readonly number[] {
  const taken: number[] = [];
  for (let bytes = memory.size; bytes >= 16;) {
    try {
      taken.push(memory.allocate(bytes, 16));
    } catch (error) {
      if (!isCodedError(error)) throw error;
      bytes = Math.floor(bytes / 32) * 16;
    }
  }
  return taken;
}

/** A copy of options that tells when the one at `path` is read; of one with parts, when a part is. */
function watchOption(options: unknown, [key, ...rest]: readonly string[], tell: () => void): unknown {
  if (typeof options !== 'object' || options === null) return options;
  const descriptors = Object.getOwnPropertyDescriptors(options);
  const watched = key === undefined ? Object.keys(descriptors) : [key];
  for (const name of watched) {
    const value: unknown = Reflect.get(options, name);
    const isWhole = rest.length === 0 && (key === undefined || typeof value !== 'object');
    const inner = isWhole ? value : watchOption(value, rest, tell);
    descriptors[name] = {
      enumerable: true,
      get: () => {
        if (isWhole) tell();
        return inner;
      },
    };
  }
  return Object.defineProperties({}, descriptors);
}
