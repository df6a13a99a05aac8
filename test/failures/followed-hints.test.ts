import { loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';

interface Sections {
  readonly platform: object;
  readonly workload?: object;
  readonly machine?: object;
  readonly device?: object;
}

function profileOf(use: string, { platform, machine, device, workload }: Sections): ProfileObject {
  return {
    profile: 'followed-hint',
    platform: { use: `@virtio-platform/platform-${use}`, ...platform },
    machine: { use: '@virtio-platform/machine-simulated', memory: '64MiB', ...machine },
    device: { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM'], ...device },
    ...(use === 'vfio' && { driver: { privilege: 'process' } }),
    workload: { kind: 'write-read-verify', requests: 50, depth: 16, blockSize: '4KiB', seed: 7, ...workload },
  };
}

async function run(use: string, sections: Sections): Promise<RunReport> {
  return runProfile(await loadProfile(profileOf(use, sections)));
}

const EXEC = { disruptions: [{ after: 20, do: 'exec' }] } as const;
const SPAPR = { container: 'spapr-v2' } as const;
const FORMER_DDW = { kind: 'ddw', mapping: 'dynamic', pageSize: '4KiB' } as const;
const HELD = { takeover: 'kdump', dynamicWindows: 'replace', formerOwner: { window: FORMER_DDW } } as const;

/** Both of them in one mapping. */
const LARGE_BLOCKS = { workload: { depth: 2, blockSize: '2MiB' } } as const;

/** What fails, what the hint says, and what a user writes who follows it. */
const HINTS: readonly (readonly [use: string, fails: Sections, hint: RegExp, followed: readonly Sections[]])[] = [
  [
    'vfio',
    { platform: SPAPR },
    /at least 69632KiB .* or give the process less memory \(machine\.memory\)/,
    [{ platform: { ...SPAPR, memoryLockLimit: '69632KiB' } }, { platform: SPAPR, machine: { memory: '4MiB' } }],
  ],
  [
    'vfio',
    { platform: { ...SPAPR, memoryLockLimit: '64MiB' } },
    /at least 69632KiB .* or use a smaller window \(platform\.defaultWindowSize/,
    [
      { platform: { ...SPAPR, memoryLockLimit: '69632KiB' } },
      { platform: { ...SPAPR, memoryLockLimit: '65MiB', defaultWindowSize: '128MiB' } },
    ],
  ],
  [
    'vfio',
    { platform: { ...SPAPR, memoryLockLimit: '66MiB', window: {} } },
    /at least 69888KiB/,
    [{ platform: { ...SPAPR, memoryLockLimit: '69888KiB', window: {} } }],
  ],
  [
    'vfio',
    { platform: { ...SPAPR, memoryLockLimit: '1GiB', window: { levels: 5 } } },
    /leave platform\.window\.levels out/,
    [{ platform: { ...SPAPR, memoryLockLimit: '1GiB', window: {} } }],
  ],
  [
    'vfio',
    { platform: { ...SPAPR, memoryLockLimit: '8GiB', window: { size: '1TiB', pageSize: '4KiB', levels: 1 } } },
    /^a level of a table has at most 16MiB: use more platform\.window\.levels, or use fewer TCEs/,
    [
      { platform: { ...SPAPR, memoryLockLimit: '8GiB', window: { size: '1TiB', pageSize: '4KiB', levels: 2 } } },
      { platform: { ...SPAPR, memoryLockLimit: '8GiB', window: { size: '128GiB', pageSize: '64KiB', levels: 1 } } },
    ],
  ],
  [
    'vfio',
    { platform: { container: 'spapr-v1' } },
    /at least 1048576KiB .* or use a smaller window \(platform\.defaultWindowSize/,
    [
      { platform: { container: 'spapr-v1', memoryLockLimit: '1GiB' } },
      { platform: { container: 'spapr-v1', defaultWindowSize: '8MiB' } },
    ],
  ],
  [
    'vfio',
    { platform: { ...SPAPR, defaultWindowSize: '64KiB', memoryLockLimit: '1GiB' } },
    /^enlarge platform\.defaultWindowSize/,
    [{ platform: { ...SPAPR, defaultWindowSize: '1MiB', memoryLockLimit: '1GiB' } }],
  ],
  [
    'vfio',
    { platform: { afterExec: { memoryLockLimit: '8KiB' } }, workload: EXEC },
    /at least 88KiB .*; platform\.afterExec\.memoryLockLimit on the simulated machine/,
    [{ platform: { afterExec: { memoryLockLimit: '88KiB' } }, workload: EXEC }],
  ],
  [
    'vfio',
    { platform: { pageSize: '64KiB', hostPageSize: '4KiB' } },
    /platform\.hostPageSize, at least platform\.pageSize/,
    [{ platform: { pageSize: '64KiB', hostPageSize: '64KiB' } }],
  ],
  [
    'virtio-iommu',
    { platform: { unit: { inputStart: 2 ** 44 } } },
    /platform\.unit\.inputStart/,
    [{ platform: { unit: { inputStart: 2 ** 40 } } }],
  ],
  [
    'virtio-iommu',
    { platform: { domain: 'identity', unit: { inputStart: 2 ** 44 } } },
    /^use a unit that translates lower addresses \(platform\.unit\.inputStart/,
    [{ platform: { domain: 'identity', unit: { inputStart: 0 } } }],
  ],
  [
    'virtio-iommu',
    { platform: { unit: { inputStart: 2 ** 33 } }, device: { dmaBits: 32 } },
    /^have the device take more bits \(device\.dmaBits\)/,
    [{ platform: { unit: { inputStart: 2 ** 33 } }, device: { dmaBits: 34 } }],
  ],
  [
    'virtio-iommu',
    { platform: { unit: { inputStart: 0xffff_e000, addressWidth: 32 } } },
    /^use a unit that translates more addresses/,
    [{ platform: { unit: { inputStart: 0xff00_0000, addressWidth: 32 } } }],
  ],
  [
    'virtio-iommu',
    { platform: { aperture: '1MiB', guestPageSize: '2MiB', unit: { pageSize: '2MiB' } } },
    /^raise platform\.aperture: each mapping takes at least one page of 2MiB$/,
    [{ platform: { aperture: '128MiB', guestPageSize: '2MiB', unit: { pageSize: '2MiB' } } }],
  ],
  [
    'virtio-iommu',
    { platform: { lacks: ['IOMMU_INPUT_RANGE'], unit: { inputStart: 2 ** 33 } } },
    /^leave IOMMU_INPUT_RANGE out of platform\.lacks/,
    [{ platform: { unit: { inputStart: 2 ** 33 } } }],
  ],
  [
    'virtio-iommu',
    { platform: { lacks: ['IOMMU_DOMAIN_RANGE'], unit: { firstDomain: 5 } } },
    /^leave IOMMU_DOMAIN_RANGE out of platform\.lacks/,
    [{ platform: { unit: { firstDomain: 5 } } }],
  ],
  [
    'virtio-iommu',
    { platform: { lacks: ['IOMMU_PROBE'], unit: { reserved: [{ start: 0x7000_0000, size: '256MiB' }] } } },
    /^leave IOMMU_PROBE out of platform\.lacks/,
    [{ platform: { unit: { reserved: [{ start: 0x7000_0000, size: '256MiB' }] } } }],
  ],
  [
    'virtio-iommu',
    { platform: { unit: { mappings: 1 } } },
    /^raise platform\.unit\.mappings/,
    [{ platform: { unit: { mappings: 64 } } }],
  ],
  [
    'virtio-iommu',
    { platform: { domain: 'identity', unit: { mappings: 1, reserved: [{ start: 0x100_0000, size: '1MiB' }] } } },
    /^raise platform\.unit\.mappings, or use platform\.domain: translated/,
    [
      { platform: { domain: 'identity', unit: { mappings: 2, reserved: [{ start: 0x100_0000, size: '1MiB' }] } } },
      { platform: { unit: { mappings: 64, reserved: [{ start: 0x100_0000, size: '1MiB' }] } } },
    ],
  ],
  [
    'intel-iommu',
    { platform: { takeover: 'kdump', formerOwner: { addressWidth: 57 } } },
    /^change platform\.formerOwner\.addressWidth, or the unit: platform\.unit\.addressWidth/,
    [
      { platform: { takeover: 'kdump', formerOwner: { addressWidth: 48 } } },
      { platform: { takeover: 'kdump', formerOwner: { addressWidth: 57 }, unit: { addressWidth: 57 } } },
    ],
  ],
  [
    'intel-iommu',
    { platform: { takeover: 'kdump', formerOwner: { buffers: 65_536 } } },
    /^lower platform\.formerOwner\.buffers, or enlarge machine\.memory$/,
    [
      { platform: { takeover: 'kdump', formerOwner: { buffers: 64 } } },
      { platform: { takeover: 'kdump', formerOwner: { buffers: 65_536 } }, machine: { memory: '512MiB' } },
    ],
  ],
  [
    'pseries',
    { platform: { window: { kind: 'default' }, takeover: 'kexec', formerOwner: { buffers: 65_536 } } },
    /^lower platform\.formerOwner\.buffers, or enlarge machine\.memory$/,
    [
      {
        platform: { window: { kind: 'default' }, takeover: 'kexec', formerOwner: { buffers: 65_536 } },
        machine: { memory: '512MiB' },
      },
    ],
  ],
  [
    'pseries',
    {
      platform: {
        window: { kind: 'default' },
        takeover: 'kexec',
        formerOwner: { window: { kind: 'ddw' } },
        dynamicWindows: 'none',
      },
    },
    /use platform\.formerOwner\.window\.kind: default$/,
    [
      {
        platform: {
          window: { kind: 'default' },
          takeover: 'kexec',
          formerOwner: { window: { kind: 'default' } },
          dynamicWindows: 'none',
        },
      },
    ],
  ],
  [
    'pseries',
    { platform: { ...HELD, window: { kind: 'ddw', mapping: 'dynamic' } } },
    /^use platform\.window\.pageSize: 4KiB$/,
    [{ platform: { ...HELD, window: FORMER_DDW } }],
  ],
  [
    'pseries',
    { platform: { ...HELD, window: { kind: 'default' } } },
    /^use platform\.window: \{ kind: ddw, mapping: dynamic, pageSize: 4KiB \}$/,
    [{ platform: { ...HELD, window: FORMER_DDW } }],
  ],
  [
    'pseries',
    { platform: { window: { kind: 'default' }, defaultWindowSize: '64KiB' } },
    /kind: ddw \} where the machine has one, or raise platform\.defaultWindowSize/,
    [
      { platform: { window: { kind: 'ddw' }, defaultWindowSize: '64KiB' } },
      { platform: { window: { kind: 'default' }, defaultWindowSize: '1MiB' } },
    ],
  ],
  [
    'pseries',
    { platform: { secure: true, window: { kind: 'default' }, pool: '16MiB' }, device: { dmaBits: 24 } },
    /^have the device take more bits \(device\.dmaBits\), or map less at once \(a smaller pool/,
    [
      { platform: { secure: true, window: { kind: 'default' }, pool: '16MiB' }, device: { dmaBits: 26 } },
      { platform: { secure: true, window: { kind: 'default' }, pool: '4MiB' }, device: { dmaBits: 24 } },
    ],
  ],
  [
    'pseries',
    { platform: { window: { kind: 'default', mapping: 'identity' }, defaultWindowSize: '16KiB' } },
    /^widen what keeps the device below \(.*the window/,
    [{ platform: { window: { kind: 'default', mapping: 'identity' }, defaultWindowSize: '1MiB' } }],
  ],
  [
    'legacy',
    { platform: { pool: '2GiB' }, device: { dmaBits: 24 } },
    /^make platform\.pool at most 7936KiB, or have the device take 26 bits/,
    [
      { platform: { pool: '7936KiB' }, device: { dmaBits: 24 } },
      { platform: { pool: '2GiB' }, device: { dmaBits: 26 } },
    ],
  ],
  ...(['intel-iommu', 'amd-iommu', 'smmuv3', 'virtio-iommu'] as const).map(
    (use) =>
      [
        use,
        { ...LARGE_BLOCKS, platform: { aperture: '64MiB' }, device: { capacity: '16MiB', dmaBits: 22 } },
        /^have the device take more bits \(device\.dmaBits\), or /,
        [{ ...LARGE_BLOCKS, platform: { aperture: '64MiB' }, device: { capacity: '16MiB', dmaBits: 24 } }],
      ] as const,
  ),
  [
    'amd-iommu',
    { ...LARGE_BLOCKS, platform: { levels: 1 }, device: { capacity: '16MiB' } },
    /^raise platform\.levels, or map less at once/,
    [{ ...LARGE_BLOCKS, platform: { levels: 2 }, device: { capacity: '16MiB' } }],
  ],
  ...(['intel-iommu', 'amd-iommu', 'smmuv3', 'virtio-iommu'] as const).map(
    (use) =>
      [
        use,
        { ...LARGE_BLOCKS, platform: { aperture: '1MiB' }, device: { capacity: '16MiB' } },
        /^raise platform\.aperture, or map less at once/,
        [{ ...LARGE_BLOCKS, platform: { aperture: '16MiB' }, device: { capacity: '16MiB' } }],
      ] as const,
  ),
  [
    'sev',
    { platform: { pool: '8MiB' }, device: { dmaBits: 22 } },
    /^make platform\.pool at most 1792KiB, or have the device take 25 bits/,
    [
      { platform: { pool: '1792KiB' }, device: { dmaBits: 22 } },
      { platform: { pool: '8MiB' }, device: { dmaBits: 25 } },
    ],
  ],
  [
    'sev',
    { platform: { technology: 'cca' }, device: { dmaBits: 24 } },
    /^have the device take 48 bits/,
    [{ platform: { technology: 'cca' }, device: { dmaBits: 48 } }],
  ],
  [
    'sev',
    { platform: { technology: 'cca' }, device: { dmaBits: 40 } },
    /^make platform\.ipaBits at most 40, or/,
    [{ platform: { technology: 'cca', ipaBits: 40 }, device: { dmaBits: 40 } }],
  ],
  [
    'sev',
    { platform: { pool: '128MiB' } },
    /^raise machine\.memory, or ask for less \(.*pool\)/,
    [{ platform: { pool: '128MiB' }, machine: { memory: '256MiB' } }, { platform: { pool: '16MiB' } }],
  ],
];

describe('the hint of a run that fails', () => {
  it.each(HINTS)('of platform %s with %o makes it pass: %s', async (use, fails, hint, followed) => {
    const { outcome, failure } = await run(use, fails);
    expect(outcome).toBe('failed');
    expect(failure!.hint).toMatch(hint);
    for (const sections of followed)
      expect(await run(use, sections)).toMatchObject({ outcome: 'completed', failure: null });
  });
});
