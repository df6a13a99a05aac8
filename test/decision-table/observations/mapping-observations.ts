import { checkOptions, openPlatform, ringOptions } from '@virtio-platform/conformance/testing';
import type { PlatformPlugin } from '@virtio-platform/core';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, type QueueLayout } from '@virtio-platform/core/queue';
import amdIommu from '@virtio-platform/platform-amd-iommu';
import intelIommu, {
  IntelIommuPlatform,
  intelIommuOptionsSchema,
  SimulatedVtd,
  VTD_FACILITY,
  type VtdFacility,
} from '@virtio-platform/platform-intel-iommu';
import smmuv3, { SMMU_FACILITY, Smmuv3Platform, smmuv3OptionsSchema } from '@virtio-platform/platform-smmuv3';
import type { SmmuFacility } from '@virtio-platform/platform-smmuv3';
import virtioIommu, {
  VIRTIO_IOMMU_FACILITY,
  virtioIommuOptionsSchema,
  VirtioIommuPlatform,
  type VirtioIommuFacility,
} from '@virtio-platform/platform-virtio-iommu';
import { composeRun } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { rowProfile, type RowMachine } from '../decision-row-profile.ts';
import { mapResult, type Observation, type ObservedRow } from './observation.ts';

const OFFER = ['VERSION_1', 'ACCESS_PLATFORM'];
const MEMORY = 2 ** 20;

/** A virtio-iommu in software, with its driver and the address space of the device behind it. */
function openVirtioIommu(given: object = {}): {
  readonly memory: GuestMemory;
  readonly platform: VirtioIommuPlatform;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
} {
  const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  const options = virtioIommuOptionsSchema.parse(given);
  const hardware = virtioIommu.simulate!(memory, options);
  const unit = hardware.facilities.get(VIRTIO_IOMMU_FACILITY) as VirtioIommuFacility;
  const platform = new VirtioIommuPlatform(options, memory, unit);
  const faults = new FaultLog();
  const blueprint = hardware.addressSpace(true);
  return { memory, platform, space: blueprint.open(memory, faults, blueprint.state), faults };
}

/** An SMMUv3 in software, with its driver and the address space of the device behind it. */
function openSmmuv3(given: object = {}): {
  readonly memory: GuestMemory;
  readonly platform: Smmuv3Platform;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
} {
  const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  const options = smmuv3OptionsSchema.parse(given);
  const hardware = smmuv3.simulate!(memory, options);
  const platform = new Smmuv3Platform(options, memory, hardware.facilities.get(SMMU_FACILITY) as SmmuFacility);
  const faults = new FaultLog();
  const blueprint = hardware.addressSpace(true);
  return { memory, platform, space: blueprint.open(memory, faults, blueprint.state), faults };
}

/** A domain behind VT-d with few I/O virtual pages. */
function openSmallAperture(pages: number): { readonly memory: GuestMemory; readonly mapping: DmaMapping } {
  const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  const options = intelIommuOptionsSchema.parse({ aperture: pages * PAGE_SIZE });
  const platform = new IntelIommuPlatform(options, memory, new SimulatedVtd(options.unit));
  return { memory, mapping: platform.openMapping('translated', { queue: 0, capacity: 64 }) };
}

/**
 * Adds buffers of a page to a ring where there are no I/O virtual pages for all, and says what the last of them met.
 */
function addUntilFull(layout: QueueLayout): string {
  const { memory, mapping } = openSmallAperture(16);
  const queue = openVirtqueue(layout, memory, mapping, ringOptions({ size: 32 }));
  const list = new ScatterList(2);
  for (;;) {
    const { live } = mapping.statistics;
    list.clear();
    list.addReadable(memory.allocate(PAGE_SIZE), PAGE_SIZE);
    list.addWritable(memory.allocate(PAGE_SIZE), PAGE_SIZE);
    const id = queue.add(list);
    if (id >= 0) continue;
    // The first of the two segments may have found room.
    return mapping.statistics.live === live ? mapResult(id) : 'left a mapping behind';
  }
}

/** Maps until it fails, in the mapping that a platform opens, and then runs a workload that needs more at once. */
async function fill({ row, table, folder }: ObservedRow, more: RowMachine): Promise<Readonly<Record<string, unknown>>> {
  const offering = { ...row, offered: OFFER, driver: {} };
  const platform = table.platforms[row.platform!]!.profile!;
  const profile = await rowProfile(folder, offering, platform, more);
  const streaming = { ...profile, driver: { ...profile.driver, buffers: 'streaming' as const } };
  const run = await composeRun(streaming);
  let id = 0;
  try {
    const mapping = run.platform.openMapping(run.platform.traits.mappedPath, { queue: 0, capacity: 4096 });
    const buffer = run.machine.memory.allocate(PAGE_SIZE);
    while (id >= 0) id = mapping.map(buffer, PAGE_SIZE, DmaDirection.ToDevice, new Uint32Array(2), 0);
    mapping.dispose();
  } finally {
    await run.dispose();
  }
  const report = await runProfile(streaming);
  return { map: mapResult(id), run: report.workload.verified ? 'verified' : (report.failure?.code ?? 'not verified') };
}

/** What an AMD IOMMU tells of an access that it refused: what it says first, and what it says then. */
async function amdRefusal(unit: object): Promise<readonly [string, string]> {
  const { platform, space, dispose } = openPlatform(amdIommu, await checkOptions(amdIommu, { unit }));
  space.read(0x1000, 0, new Uint8Array(4), 0, 4);
  const say = (): string => {
    const [fault] = platform.recordedFaults?.() ?? [];
    if (fault === undefined) return 'nothing';
    return `${fault.cause}, ${fault.address === 0x1000n ? 'with its' : 'without an'} address`;
  };
  const said = [say(), say()] as const;
  dispose();
  return said;
}

/** Rows about what mapping does, by number. */
export const MAPPING_OBSERVATIONS: Readonly<Record<string, Observation>> = {
  async B13() {
    const { memory, mapping } = openSmallAperture(4);
    const words = new Uint32Array(2);
    const map = (): number => mapping.map(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.ToDevice, words, 0);
    const ids = Array.from({ length: 4 }, map);
    const full = mapResult(map());
    mapping.unmap(ids[2]!, 0);
    return { map: full, split: addUntilFull('split'), packed: addUntilFull('packed'), afterUnmap: mapResult(map()) };
  },

  async B20({ row, table }) {
    const { use: _, ...options } = table.platforms[row.platform!]!.profile!;
    // In caching mode the probe of the traits takes two, and each mapping one. Unmapping then asks three times in vain.
    const checked = intelIommuOptionsSchema.parse({ ...options, failures: { invalidation: { nth: [5, 6, 7] } } });
    const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
    const hardware = intelIommu.simulate!(memory, checked);
    const unit = hardware.facilities.get(VTD_FACILITY) as VtdFacility;
    const platform = new IntelIommuPlatform(checked, memory, unit);
    const { open, state } = hardware.addressSpace(true);
    const faults = new FaultLog();
    const space = open(memory, faults, state);
    const mapping = platform.openMapping(platform.traits.mappedPath, { queue: 0, capacity: 4 });
    const words = new Uint32Array(2);
    const id = mapping.map(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.ToDevice, words, 0);
    const other = mapping.allocateCoherent(PAGE_SIZE, PAGE_SIZE);
    const access = (): string =>
      space.read(words[0]!, words[1]!, new Uint8Array(4), 0, 4) ? 'possible' : faults.entries.at(-1)!.cause;
    access();
    mapping.unmap(id, 0);
    const kept = (): string => (platform.keptBytes > 0 ? 'kept' : 'taken back');
    const [whileStopped, stillAccess] = [kept(), access()];
    other.release();
    return { whileStopped, access: stillAccess, askedAgain: kept(), accessThen: access() };
  },

  async 'B20 AMD'() {
    const [logged] = await amdRefusal({});
    const [silent, again] = await amdRefusal({ eventLog: false });
    return { logged, silent, again };
  },

  C7: (observed) => fill(observed, { platform: { pool: '256KiB' }, workload: { depth: 8, blockSize: '64KiB' } }),

  async C8({ row, table, folder }) {
    const platform = table.platforms[row.platform!]!.profile!;
    const run = await composeRun(await rowProfile(folder, { ...row, offered: OFFER }, platform));
    try {
      const mapping = run.platform.openMapping('bounced', { queue: 0, capacity: 4 });
      const { maxMappingSize } = mapping.limits;
      const buffer = run.machine.memory.allocate(2 * maxMappingSize);
      const words = new Uint32Array(2);
      const id = mapping.map(buffer, maxMappingSize + 1, DmaDirection.ToDevice, words, 0);
      mapping.unmap(mapping.map(buffer, maxMappingSize, DmaDirection.ToDevice, words, 0), 0);
      return { map: mapResult(id), maxMappingSize };
    } finally {
      await run.dispose();
    }
  },

  'E3 full': (observed) =>
    fill(observed, { platform: { defaultWindowSize: '512KiB' }, workload: { depth: 8, blockSize: '64KiB' } }),

  async H8({ row, table }) {
    const { use, ...options } = table.platforms[row.platform!]!.profile!;
    const { default: plugin } = (await import(String(use))) as { default: PlatformPlugin };
    const checked = await checkOptions(plugin, { ...options, failures: { keep: { nth: [1] } } });
    const { memory, openMapping, platform, space, dispose } = openPlatform(plugin, checked, { memory: MEMORY });
    const mapping = openMapping();
    const words = new Uint32Array(2);
    const buffer = memory.allocate(PAGE_SIZE);
    const map = (): number => mapping.map(buffer, 16, DmaDirection.ToDevice, words, 0);
    const id = map();
    space.read(words[0]!, words[1]!, new Uint8Array(16), 0, 16);
    mapping.unmap(id, 0);
    const leaked = platform.leaks?.count;
    const nextMap = mapResult(map());
    space.reset?.();
    dispose();
    return { leaked, nextMap, takenBackAfterReset: platform.leaks?.count === 0 };
  },

  async I11({ row, table, folder }) {
    const platform = table.platforms[row.platform!]!.profile!;
    const profile = await rowProfile(folder, { ...row, offered: OFFER, privilege: 'process' }, platform);
    const run = await composeRun(profile);
    try {
      const mapping = run.platform.openMapping('translated', { queue: 0, capacity: 4 });
      const buffer = run.machine.memory.allocate(PAGE_SIZE, PAGE_SIZE * 16);
      const words = new Uint32Array(2);
      mapping.map(buffer, PAGE_SIZE, DmaDirection.ToDevice, words, 0);
      const isInside = words[1] === 0 && words[0]! < 2 ** 30;
      return { deviceAddress: isInside ? 'in the window' : 'elsewhere', isBufferAddress: words[0] === buffer };
    } finally {
      await run.dispose();
    }
  },

  async J5() {
    const { platform, space, faults } = openVirtioIommu();
    const path = platform.traits.mappedPath;
    // The reset drops the domain, and the unit goes on to let nothing through: the driver turned bypass off.
    platform.dispose();
    const isRefused = !space.read(0x1000, 0, new Uint8Array(4), 0, 4);
    return { path, access: isRefused ? faults.entries[0]!.cause : 'allowed' };
  },

  async J8() {
    // Room for the ring and its areas, and for one more.
    const { memory, platform, space } = openVirtioIommu({ unit: { mappings: 3 } });
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 64 });
    const queue = openVirtqueue('split', memory, mapping, ringOptions());
    const list = new ScatterList(1);
    list.addReadable(memory.allocate(PAGE_SIZE), 16);
    // A unit that a device relies on answers DEVERR, and one that is full NOMEM.
    space.freeze?.(true);
    const before = { ...mapping.statistics };
    const refused = mapResult(queue.add(list));
    space.freeze?.(false);
    const isSame = mapping.statistics.live === before.live && queue.outstanding === 0;
    let id = queue.add(list);
    while (id >= 0) id = queue.add(list);
    const isUnwound = queue.outstanding === mapping.statistics.live - before.live;
    return { add: [refused, mapResult(id)], free: isSame && isUnwound ? 'as before' : 'changed' };
  },

  async M6() {
    const { memory, platform, space } = openSmmuv3();
    const path = platform.traits.mappedPath;
    const mapping = platform.openMapping(path, { queue: 0, capacity: 64 });
    const words = new Uint32Array(2);
    mapping.map(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.ToDevice, words, 0);
    space.read(0x1000, 0, new Uint8Array(4), 0, 4);
    space.write(words[0]!, words[1]!, new Uint8Array(4), 0, 4);
    const recorded = platform.recordedFaults();
    return { path, recorded: recorded.map(({ type, access, cause }) => `0x${type.toString(16)} ${access} ${cause}`) };
  },

  async M7() {
    // The first invalidation is that of the page that is probed; then one is lost, three times.
    const { memory, platform, space, faults } = openSmmuv3({ failures: { invalidation: { nth: [2, 3, 4] } } });
    const mapping = platform.openMapping(platform.traits.mappedPath, { queue: 0, capacity: 64 });
    const words = new Uint32Array(2);
    const reads = (): boolean => space.read(words[0]!, words[1]!, new Uint8Array(4), 0, 4);
    const ids = [0, 1].map(() => {
      const id = mapping.map(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.ToDevice, words, 0);
      reads();
      return [id, words[0]!] as const;
    });
    const after = ids.map(([id, address]) => {
      mapping.unmap(id, 0);
      words[0] = address;
      return reads() ? 'the device still reaches the page' : faults.entries.at(-1)!.cause;
    });
    return { kept: after[0], unmapped: after[1] };
  },
};
