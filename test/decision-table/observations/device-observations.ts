import { isCodedError, type BootedMachine } from '@virtio-platform/core';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DeviceStatus, greetDevice } from '@virtio-platform/core/device';
import { FeatureSet } from '@virtio-platform/core/features';
import { PAGE_SIZE, GuestMemory } from '@virtio-platform/core/memory';
import { CONTEXT_CACHED, GENERATION, SimulatedVtd, VTD_FACILITY } from '@virtio-platform/platform-intel-iommu';
import { H_PERMISSION, H_SUCCESS, SimulatedTceTables, TCE_FACILITY } from '@virtio-platform/platform-pseries';
import { MEMORY_CONVERSION, sevOptionsSchema, simulateSev, type MemoryConversion } from '@virtio-platform/platform-sev';
import { composeRun, type ComposedRun } from '@virtio-platform/profile';
import { RunSession, runProfile } from '@virtio-platform/runner';
import { rowProfile, type RowMachine } from '../decision-row-profile.ts';
import type { Observation, ObservedRow } from './observation.ts';

const OFFER = ['VERSION_1', 'ACCESS_PLATFORM'];
const IDENTITY = 'ACCESS_PLATFORM_IDENTITY_ADDRESS';
const SECRET = 0x5e;

/** Puts a row's machine together, with the platform of its own or another. */
async function withRun<T>(
  { row, table, folder }: ObservedRow,
  changes: Partial<ObservedRow['row']>,
  body: (run: ComposedRun) => T | Promise<T>,
  more: RowMachine = {},
): Promise<T> {
  const changed = { ...row, ...changes };
  const run = await composeRun(await rowProfile(folder, changed, table.platforms[changed.platform!]!.profile!, more));
  try {
    return await body(run);
  } finally {
    await run.dispose();
  }
}

/** The code of the error that an action ends with. */
async function errorOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return 'none';
  } catch (error) {
    if (!isCodedError(error)) throw error;
    return error.code;
  }
}

/**
 * Runs a device that relies on identity while the tables change: first by hypercalls of the guest, then without them.
 */
async function breakPromise(run: ComposedRun): Promise<Readonly<Record<string, unknown>>> {
  const tables = run.machine.facilities.get(TCE_FACILITY);
  if (!(tables instanceof SimulatedTceTables)) throw new TypeError('the machine has no simulated TCE tables');
  const { liobn } = tables.defaultWindow;
  const unmap = (): number => tables.putTce(liobn, PAGE_SIZE, 0, 0, 0);
  const session = new RunSession(run);
  await session.start();
  const answer = unmap();
  // A broken hypervisor: the entry goes, whatever was frozen.
  const entries = new Uint32Array(tables.state.tables[0]!);
  entries[2] = 0;
  Atomics.add(new Uint32Array(tables.state.registers), 0, 1);
  const failure = await errorOf(() => session.run());
  session.end();
  session.dispose();
  return { hypervisor: hypercallName(answer), afterTampering: failure, afterReset: hypercallName(unmap()) };
}

/**
 * The same behind VT-d: page tables are memory, so the unit cannot refuse a write to them; it can refuse to read them
 * again.
 */
async function breakPageTables(run: ComposedRun): Promise<Readonly<Record<string, unknown>>> {
  const unit = run.machine.facilities.get(VTD_FACILITY);
  if (!(unit instanceof SimulatedVtd)) throw new TypeError('the machine has no simulated VT-d');
  const words = new Uint32Array(2);
  const invalidateAll = (): string => {
    unit.write64(0xf8, 0, 0x9000_0000);
    unit.read64(0xf8, words);
    return (words[1]! & 0x0600_0000) === 0 ? 'not done' : 'done';
  };
  const session = new RunSession(run);
  await session.start();
  const answer = invalidateAll();
  unit.read64(0x20, words);
  // The root table goes, and a broken unit forgets what it knew, whatever was frozen.
  run.machine.memory.u8.fill(0, words[0], words[0]! + PAGE_SIZE);
  new Int32Array(unit.state.cacheDomains).fill(0);
  const control = new Int32Array(unit.state.control);
  control[CONTEXT_CACHED] = 0;
  Atomics.add(control, GENERATION, 1);
  const failure = await errorOf(() => session.run());
  session.end();
  session.dispose();
  return { invalidation: answer, afterTampering: failure, afterReset: invalidateAll() };
}

function hypercallName(code: number): string {
  if (code === H_SUCCESS) return 'H_SUCCESS';
  return code === H_PERMISSION ? 'H_PERMISSION' : String(code);
}

/** Takes registers into its own hands: no features, no FEATURES_OK, and a ring at a physical address. */
function jumpToDriverOk({ transport, memory, faults }: BootedMachine): Readonly<Record<string, unknown>> {
  greetDevice(transport);
  transport.writeDriverFeatures(FeatureSet.EMPTY);
  transport.writeStatus(transport.readStatus() | DeviceStatus.DriverOk);
  const status = transport.readStatus();
  transport.enableQueue(0, { size: 8, words: Uint32Array.of(0x1000, 0, 0x2000, 0, 0x3000, 0) });
  memory.u8[0x2002] = 1; // avail.idx: one buffer
  transport.notify(0, 1);
  return { driverOk: (status & DeviceStatus.DriverOk) !== 0, faults: faults.count, used: memory.u8[0x3002]! };
}

/** Reads a page through the device's eyes. */
function readPage(space: DeviceAddressSpace, address: number): Uint8Array {
  const seen = new Uint8Array(64);
  space.read(address, 0, seen, 0, seen.length);
  return seen;
}

/** Rows about what a device, or the host in front of it, does. */
export const DEVICE_OBSERVATIONS: Readonly<Record<string, Observation>> = {
  A6: (observed) =>
    withRun(observed, { offered: ['ANY_LAYOUT'], interface: 'legacy' }, async ({ machine }) => {
      const { transport } = machine;
      // The first frame number that does not fit in 32 bits: address 2^44.
      const words = Uint32Array.of(0, 0x1000, 0, 0, 0, 0);
      const size = transport.maxQueueSize(0);
      return { fails: await errorOf(() => transport.enableQueue(0, { size, words })) };
    }),

  B12: (observed) =>
    withRun(
      observed,
      { platform: 'pseries-identity', offered: [...OFFER, IDENTITY], policy: { experimental: true } },
      breakPromise,
    ),

  'B12 VT-d': (observed) =>
    withRun(observed, { offered: [...OFFER, IDENTITY], policy: { experimental: true } }, breakPageTables),

  async C12() {
    const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
    const hardware = simulateSev(memory, sevOptionsSchema.parse({ pool: '256KiB' }));
    const conversion = hardware.facilities.get(MEMORY_CONVERSION) as MemoryConversion;
    const faults = new FaultLog();
    const blueprint = hardware.addressSpace(true);
    const space = blueprint.open(memory, faults, blueprint.state);
    const page = memory.allocate(PAGE_SIZE, PAGE_SIZE);
    memory.u8.fill(SECRET, page, page + PAGE_SIZE);
    const seen = readPage(space, page);
    const fault = faults.entries[0]!.cause;
    // What was shared is seen as it is: the reading itself works.
    conversion.setShared(page, PAGE_SIZE);
    memory.u8.fill(SECRET, page, page + PAGE_SIZE);
    if (readPage(space, page).some((byte) => byte !== SECRET)) return { fault, sees: 'not even what is shared' };
    // Ciphertext has each byte by chance, here and there.
    const revealed = seen.filter((byte) => byte === SECRET).length;
    return { fault, sees: revealed > seen.length / 4 ? 'plaintext' : 'ciphertext' };
  },

  async F7({ row, table, folder }) {
    const machine = { onFault: 'silent', rogue: [{ after: 5, access: 'write', address: '0x0800000000f00000' }] };
    const platform = table.platforms[row.platform!]!.profile!;
    const profile = await rowProfile(folder, { ...row, offered: OFFER }, platform, { machine });
    const report = await runProfile(profile);
    return { fault: report.faults[0]?.cause ?? 'none', changed: !report.workload.verified };
  },

  I4: (observed) =>
    withRun(observed, { offered: OFFER, privilege: 'process' }, ({ machine }) => jumpToDriverOk(machine)),
};
