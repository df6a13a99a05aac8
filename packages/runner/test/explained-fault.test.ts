import { fileURLToPath } from 'node:url';
import { loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { describeAccess, runProfile, type RingReport, type RunReport } from '@virtio-platform/runner';
import type { TraceEvent } from '@virtio-platform/trace';
import { describe, expect, it } from 'vitest';
import { explainFault, explainRecorded } from '../src/failure/explain-trouble.ts';

const PLUGINS = { resolveFrom: [fileURLToPath(new URL('../../cli/package.json', import.meta.url))] };

/** A unit that remaps interrupts, by a table without an entry. */
const REMAPPING = {
  use: '@virtio-platform/platform-intel-iommu',
  invalidation: 'queued',
  interruptRemapping: true,
  unit: { interruptRemapping: true },
};

/** The report of a run in a window of an IOMMU, with the sections that a test replaces. */
async function reportOf(more: ProfileObject): Promise<RunReport> {
  const source: ProfileObject = {
    profile: 'run',
    platform: { use: '@virtio-platform/platform-pseries', window: { kind: 'default' } },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM', 'RING_INDIRECT_DESC'] },
    workload: { kind: 'write-read-verify', requests: 200, depth: 16, blockSize: '4KiB' },
    ...more,
  };
  return await runProfile(await loadProfile(source, PLUGINS));
}

async function explained(more: ProfileObject): Promise<RunReport['explanations'][number] | undefined> {
  const { explanations } = await reportOf(more);
  return explanations[0];
}

describe('the explanation of a refused access', () => {
  it('names the request and the descriptor whose address was refused, and where the address came from', async () => {
    const fault = await explained({ driver: { buffers: 'streaming' }, failures: { wrongAddress: { nth: [50] } } });
    expect(fault).toMatchObject({
      kind: 'fault',
      what: expect.stringMatching(
        /^the device entered an error state after its read of 4096 bytes at 0x\w+ was refused/,
      ),
      where: expect.stringMatching(/^write of sector \d+, queue 0, buffer 16, entry 1 of its indirect table$/),
      place: { queue: 0, buffer: 16, operation: expect.stringMatching(/^write of sector/) },
      notes: [
        expect.stringMatching(/^the driver got it from a mapping of 4096 bytes of guest address 0x\w+, which it/),
      ],
      next: expect.stringContaining('mapping'),
    });
    expect(fault!.events.map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/^fault: read of 4096 bytes at 0x\w+: outside-window$/),
    );
    expect(fault!.descriptors.length).toBeGreaterThan(0);
  });

  it('names the area of a ring', async () => {
    const fault = await explained({ driver: { forces: ['VERSION_1', 'ACCESS_PLATFORM'] } });
    expect(fault).toMatchObject({
      kind: 'fault',
      where: expect.stringMatching(/^queue 0: the descriptor area of the ring begins at 0x/),
      place: { queue: 0, buffer: null },
    });
    expect(fault!.notes).toContain('2 more accesses refused');
  });

  it('is there for one that a device makes before it is reset for the first time', async () => {
    const rogue = [{ after: 0, access: 'write', address: 0x1000, length: 64 }];
    const report = await reportOf({
      machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB', rogue },
    });
    expect(report).toMatchObject({ outcome: 'completed', workload: { verified: true } });
    expect(report.faults).toMatchObject([{ access: 'write', address: '0x1000', length: 64, cause: 'unmapped' }]);
    expect(report.explanations).toMatchObject([{ kind: 'fault', where: expect.stringContaining('0x1000') }]);
  });

  it('says that an address is in no buffer', async () => {
    const rogue = [{ after: 100, access: 'write', address: 0x3ff0_0000, length: 64 }];
    expect(await explained(machine({ rogue, onFault: 'needs-reset' }))).toMatchObject({
      kind: 'fault',
      where: 'device address 0x3ff00000: it is in no descriptor of the buffers that the driver knows',
      notes: [
        'of the mappings that the recorder kept, none gave the driver this address',
        'the device worked on buffer 99 of queue 0 then',
      ],
      ring: { queue: 0 },
    });
  });

  it('is with the data that the device went on without', async () => {
    const driver = { buffers: 'streaming' } as const;
    const wrong = await explained({ ...machine({}), driver, failures: { wrongAddress: { nth: [302] } } });
    expect(wrong).toMatchObject({
      kind: 'mismatch',
      notes: expect.arrayContaining([
        expect.stringMatching(
          /^the device's write of 4096 bytes at 0x\w+ was refused: outside-window \(buffer \d+, entry 1 of its/,
        ),
      ]),
      next: expect.stringContaining('refused'),
    });
  });
});

/** A machine whose device goes on after a refused access. */
function machine(more: ProfileObject['machine']): ProfileObject {
  return { machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB', onFault: 'zeros', ...more } };
}

/** An event of a mapping with id 3, from guest address 0x2000. */
function event(index: number, kind: TraceEvent['kind'], queue: number): TraceEvent {
  const place = { id: 3, address: 0x2000, deviceAddress: 0x8000n, length: 64 };
  return { index, time: index, kind, queue, ...place, extra: 0, text: null };
}

/** What is said of the mapping where the queue `unmapped` ended one before the access. */
function noteOf(unmapped: number): string | undefined {
  const events = [event(0, 'map', 0), event(1, 'unmap', unmapped), event(2, 'fault', -1)];
  const fault = { address: '0x8000', length: 64, access: 'write', cause: 'unmapped' };
  const evidence = {
    rings: [],
    buffers: new Map(),
    areas: new Map(),
    faults: [fault],
    interrupts: [],
    events,
    dropped: 0,
  };
  return explainFault(fault, evidence, () => undefined).notes[0];
}

describe('the explanation of an access that the run survives', () => {
  const rogue = [{ after: 100, access: 'read', address: 0x3ff0_0000, length: 64 }];

  it.each(['split', 'packed'] as const)(
    'says what was refused, where its address is from, and what to do: %s',
    async (layout) => {
      const device = { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM', 'RING_PACKED'] };
      const { explanations } = await reportOf({ ...machine({ rogue }), device, queue: { layout } });
      expect(explanations).toMatchObject([
        {
          kind: 'fault',
          what: "the device's read of 64 bytes at 0x3ff00000 was refused: unmapped",
          where: 'device address 0x3ff00000: it is in no descriptor of the buffers that the driver knows',
          place: { deviceAddress: '0x3ff00000', queue: null },
          notes: [
            'of the mappings that the recorder kept, none gave the driver this address',
            expect.stringMatching(/^the device worked on buffer \d+ of queue 0 then$/),
          ],
          ring: { queue: 0, layout },
          next: expect.stringContaining('look where the device has this address from'),
        },
      ]);
      expect(explanations[0]!.events.at(-1)).toMatchObject({ kind: 'fault', isOfBuffer: true });
    },
  );

  it('says where to look where the IOMMU itself tells neither address nor direction', () => {
    const detail = 'the status of the unit shows that it refused something';
    const fault = { address: '0x0', length: 0, access: 'read or write', cause: 'unmapped', detail } as const;
    const evidence = {
      rings: [],
      buffers: new Map(),
      areas: new Map(),
      faults: [],
      interrupts: [],
      events: [],
      dropped: 0,
    };
    expect(explainRecorded(fault, evidence, () => undefined)).toMatchObject({
      what: `the IOMMU refused an access: ${detail}`,
      where: 'the IOMMU does not say where',
      next: expect.stringContaining('driver.sanitize'),
    });
  });

  it('says of an interrupt that it is one, and where the unit looks it up', async () => {
    const interrupt = [{ after: 100, access: 'write', address: 0xfee0_0010, length: 4 }];
    const { faults, explanations } = await reportOf({ ...machine({ rogue: interrupt }), platform: REMAPPING });
    expect(faults.map(describeAccess)).toEqual(['interrupt (write of 4 bytes at 0xfee00010)']);
    expect(explanations).toMatchObject([
      {
        kind: 'fault',
        what: "the IOMMU did not let the device's interrupt (write of 4 bytes at 0xfee00010) through: interrupt-blocked",
        where: 'device address 0xfee00010: a write there is an interrupt, and no access to memory',
        place: { deviceAddress: '0xfee00010', queue: null },
        notes: ['the device worked on buffer 99 of queue 0 then'],
        ring: { queue: 0 },
        next:
          'look at the entry of the interrupt remapping table that address and data of the interrupt name, ' +
          'and at what the unit recorded of it',
      },
    ]);
    expect(explanations[0]!.events.at(-1)).toMatchObject({ kind: 'fault', isOfBuffer: true });
  });

  it.each([
    ['intel-iommu', 'interrupt range of a PC', {}],
    ['intel-iommu', 'interrupt range of a PC', { domain: 'pass-through' }],
    ['amd-iommu', 'interrupt range of a PC', {}],
    ['virtio-iommu', 'MSI region of the unit', {}],
  ])(
    'says of an interrupt that nothing remaps that its address is no memory: %s, %s, %j',
    async (name, what, options) => {
      const interrupt = [{ after: 100, access: 'write', address: 0xfee0_0010, length: 4 }];
      const platform = { use: `@virtio-platform/platform-${name}`, ...options };
      const { explanations } = await reportOf({ ...machine({ rogue: interrupt }), platform });
      expect(explanations).toMatchObject([
        {
          kind: 'fault',
          what: `the device's write of 4 bytes at 0xfee00010 reached no memory: the address is in the ${what}`,
          where: 'device address 0xfee00010: a write there is an interrupt, and no access to memory',
          place: { deviceAddress: '0xfee00010', queue: null },
          notes: ['the device worked on buffer 99 of queue 0 then'],
          ring: { queue: 0 },
          next: 'look where the device has this address from: no mapping has one of this range',
        },
      ]);
      expect(explanations[0]!.events.at(-1)).toMatchObject({ kind: 'fault', isOfBuffer: true });
    },
  );

  it.each([
    ['read', 4],
    ['write', 64],
  ])('says it of a %s of %i bytes there too, and where the run ends with it', async (access, length) => {
    const rogueAccess = [{ after: 100, access, address: 0xfee0_0010, length }];
    const driver = { privilege: 'process' } as const;
    const policy = { allowUnsafeInterrupts: true };
    const platform = { use: '@virtio-platform/platform-vfio' };
    const onFault = 'needs-reset';
    expect(await explained({ ...machine({ rogue: rogueAccess, onFault }), platform, driver, policy })).toMatchObject({
      what:
        `the device entered an error state after its ${access} of ${length} bytes at 0xfee00010 reached no memory: ` +
        'the address is in the interrupt range',
      next: expect.stringContaining('no mapping has one of this range'),
    });
  });

  it('says it of what the unit recorded there', async () => {
    const rogueAccess = [{ after: 100, access: 'read', address: 0xfee0_0010, length: 4 }];
    const platform = { use: '@virtio-platform/platform-amd-iommu' };
    const report = await reportOf({ ...machine({ rogue: rogueAccess }), platform, expect: { faults: 1 } });
    expect(report.recorded).toMatchObject([{ address: '0xfee00010', access: 'read' }]);
    expect(report.explanations).toMatchObject([
      {
        where: 'device address 0xfee00010: it is in the interrupt range of a PC, which is no memory',
        next: 'look where the device has this address from: no mapping has one of this range',
      },
    ]);
  });

  it('says of an address that a descriptor has that it is one of interrupts', () => {
    const fault = { address: '0xfee00010', length: 4, access: 'write', cause: 'outside-window' };
    const interrupts = [{ what: 'range', kind: 'interrupts', deviceAddress: 0xfee0_0000n, length: 0x10_0000 }] as const;
    const areas = new Map([[0, [0xfee0_0010n, 0n, 0n]]]);
    const rings = [{ queue: 0 }] as unknown as RingReport[];
    const evidence = { rings, buffers: new Map(), areas, faults: [fault], interrupts, events: [], dropped: 0 };
    expect(explainFault(fault, evidence, () => undefined)).toMatchObject({
      what: "the device's write of 4 bytes at 0xfee00010 reached no memory: the address is in the range",
      where: 'queue 0: the descriptor area of the ring begins at 0xfee00010',
    });
  });

  it.each(['smmuv3', 'pseries'])('takes such an address for any other where it is one: %s', async (name) => {
    const write = [{ after: 100, access: 'write', address: 0xfee0_0010, length: 4 }];
    const platform = { use: `@virtio-platform/platform-${name}` };
    expect(await explained({ ...machine({ rogue: write }), platform })).toMatchObject({
      what: expect.stringMatching(
        /^the device's write of 4 bytes at 0xfee00010 was refused: (?:unmapped|outside-window)$/,
      ),
      next: expect.stringContaining('what is mapped there'),
    });
  });

  it('takes it for any other where the device bypasses the unit', async () => {
    const write = [{ after: 100, access: 'write', address: 0xfee0_0010, length: 4 }];
    const platform = { use: '@virtio-platform/platform-intel-iommu' };
    const device = { type: 'block', offers: ['VERSION_1'] };
    expect(await explained({ ...machine({ rogue: write }), platform, device })).toMatchObject({
      what: "the device's write of 4 bytes at 0xfee00010 was refused: outside-memory",
    });
    const confined = { ...platform, domain: 'pass-through', confinesEveryDevice: true };
    expect(await explained({ ...machine({ rogue: write }), platform: confined, device })).toMatchObject({
      what: expect.stringContaining('reached no memory: the address is in the interrupt range of a PC'),
    });
  });

  it('says of an error state that an interrupt came before it', async () => {
    const rogueInterrupt = [{ after: 100, access: 'write', address: 0xfee0_0010, length: 4 }];
    const stopped = machine({ rogue: rogueInterrupt, onFault: 'needs-reset' });
    expect(await explained({ ...stopped, platform: REMAPPING })).toMatchObject({
      what: expect.stringContaining('after its interrupt (write of 4 bytes at 0xfee00010) was refused: interrupt-'),
      where: 'device address 0xfee00010: a write there is an interrupt, and no access to memory',
      next: expect.stringContaining('interrupt remapping table'),
    });
  });

  it('says of a recorded interrupt which entry of the table to look at', () => {
    const detail = 'an interrupt, and its entry of the interrupt remapping table is not present (entry 3)';
    const fault = { address: '0x0', length: 0, access: 'write', cause: 'interrupt-blocked', detail } as const;
    const evidence = {
      rings: [],
      buffers: new Map(),
      areas: new Map(),
      faults: [],
      interrupts: [],
      events: [],
      dropped: 0,
    };
    expect(describeAccess(fault)).toBe('interrupt of the device');
    expect(explainRecorded(fault, evidence, () => undefined)).toMatchObject({
      what: `the IOMMU recorded an interrupt of the device that it did not let through: ${detail}`,
      where: 'the IOMMU records no address of an interrupt, which is no access to memory',
      place: { deviceAddress: null },
      next:
        'look at the entry of the interrupt remapping table that the interrupt named, where the record has one, ' +
        'and for which requester it is',
    });
  });

  it('has the mapping of an address that the driver gave back', async () => {
    // Each request is mapped; the first one had this address.
    const first = [{ after: 100, access: 'read', address: 0, length: 16 }];
    const driver = { buffers: 'streaming' } as const;
    const [fault] = (await reportOf({ ...machine({ rogue: first }), driver })).explanations;
    expect(fault).toMatchObject({
      kind: 'fault',
      what: expect.stringContaining('read of 16 bytes at 0x0 was refused'),
    });
  });

  it('knows a mapping of one queue from one of another with the same id', () => {
    expect(noteOf(0)).toMatch(/of guest address 0x2000, which it had ended before the access$/);
    expect(noteOf(1)).toMatch(/of guest address 0x2000, which it had not ended$/);
  });

  it('is that of the first one that the profile does not expect', async () => {
    const both = [...rogue, { after: 150, access: 'write', address: 0x3ff0_1000, length: 8 }];
    const expected = await reportOf({ ...machine({ rogue: both }), expect: { faults: 2 } });
    expect([expected.differences, expected.explanations]).toEqual([[], []]);
    const one = await reportOf({ ...machine({ rogue: both }), expect: { faults: 1 } });
    expect(one.explanations).toMatchObject([{ kind: 'fault', place: { deviceAddress: '0x3ff01000' } }]);
  });

  it('comes also where the device is in another thread', async () => {
    const { explanations } = await reportOf(machine({ rogue, device: 'worker' }));
    expect(explanations).toMatchObject([{ kind: 'fault', place: { deviceAddress: '0x3ff00000' } }]);
  });

  it('has the one access of a frozen device only once', async () => {
    const { explanations } = await reportOf(machine({ rogue, onFault: 'freeze' }));
    expect(explanations).toMatchObject([
      {
        kind: 'fault',
        what: expect.stringMatching(
          /^the device is frozen: .* after its read of 64 bytes at 0x3ff00000 was refused: unmapped/,
        ),
      },
    ]);
  });
});

describe('the explanation of any other error', () => {
  it('has the message, the ring, the last events and what to do', async () => {
    const driver = { buffers: 'streaming' } as const;
    const { explanations, failure } = await reportOf({ driver, failures: { map: { every: 1 } } });
    expect(failure?.code).toBe('ERR_DMA_EXHAUSTED');
    expect(explanations).toMatchObject([
      { kind: 'error', what: failure!.message, where: 'queue 0: the device has no buffer', next: failure!.hint },
    ]);
    expect(explanations[0]!.ring?.queue).toBe(0);
    expect(explanations[0]!.events.length).toBeGreaterThan(0);
  });
});

describe('a finding of a run', () => {
  it.each(['split', 'packed'] as const)(
    'is explained: what, where, the ring, events, and what to do: %s',
    async (layout) => {
      const device = { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM', 'RING_PACKED'] };
      const driver = { buffers: 'streaming', sanitize: true } as const;
      const wrong = { failures: { wrongAddress: { nth: [50] } } };
      const { explanations, findings } = await reportOf({ device, queue: { layout }, driver, ...wrong });
      const { what, hint, descriptor } = findings[0]!;
      expect(explanations[0]).toMatchObject({
        kind: 'finding',
        what,
        where: expect.stringContaining(`queue 0, buffer ${descriptor}, 4096 bytes at 0x`),
        place: { queue: 0, buffer: descriptor },
        ring: { queue: 0, layout },
        next: hint,
      });
      expect(explanations[0]!.events.at(-1)).toMatchObject({ kind: 'finding' });
    },
  );

  it('names the driver, and not the recorder that stands between driver and sanitizer', async () => {
    const driver = { buffers: 'streaming', sanitize: true } as const;
    const { findings } = await reportOf({ driver, failures: { wrongAddress: { nth: [50] } } });
    const [{ mappedAt, addedAt, misusedAt } = { mappedAt: [], addedAt: [], misusedAt: [] }] = findings;
    for (const [first] of [mappedAt, addedAt, misusedAt]) expect(first).toMatch(/^BlockDriver\./);
  });
});
