import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { runCommandLine } from '@virtio-platform/cli';
import { DmaSanitizer } from '@virtio-platform/dma-sanitizer';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { reportsOf, ROOT, virtioPlatform } from '../command/command.ts';
/** A device that writes where nothing is mapped, in the middle of a right driver's work. */
const ROGUE = `extends: ${join(ROOT, 'profiles/pseries-dynamic.yaml')}
profile: rogue
matrix: []
machine:
  onFault: silent
  rogue: [{ after: 100, access: write, address: 0x3ff00000, length: 64 }]
workload: { requests: 200, blockSize: 512 }
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});

function profile(name: string, rest: string): string {
  const path = join(folder, name);
  writeFileSync(path, ROGUE + rest);
  return path;
}

/** The write of a device to the addresses of interrupts after so many buffers; one of 4 bytes is an interrupt. */
function toInterrupts(after: number, length: number): string {
  return `{ after: ${after}, access: write, address: 0xfee00010, length: ${length} }`;
}

/** Runs a profile under the sanitizer, with these accesses of its device. */
async function interruptedRun(name: string, rogue: readonly string[], more = ''): Promise<RunReport> {
  const path = join(folder, 'interrupted.yaml');
  const lines = [
    `extends: ${join(ROOT, `profiles/${name}.yaml`)}`,
    'profile: interrupted',
    'matrix: []',
    `machine: { onFault: zeros, rogue: [${rogue.join(', ')}] }`,
    'workload: { requests: 200 }',
    'driver: { sanitize: true }',
  ];
  writeFileSync(path, `${lines.join('\n')}\n${more}`);
  return await runProfile(await loadProfile(path));
}

/** Runs the command in this process, and returns what it printed on a terminal, or on something else. */
async function print(words: readonly string[], isTTY: boolean): Promise<string> {
  const stdout = Object.assign(new PassThrough(), { isTTY, columns: 200 });
  await runCommandLine(words, { stdout, stderr: new PassThrough(), cwd: ROOT });
  return String(stdout.read());
}

/** Frames without line and column, which move. */
/** Without line numbers and times. */
function withoutLines(text: string): string {
  return text.replace(/\.ts:\d+:\d+/g, '.ts').replace(/ +-?\d+\.\d{3} ms/g, ' ms');
}

describe('a run under the sanitizer', () => {
  it('has its findings in the report, and differs', async () => {
    const path = profile('found.yaml', 'driver: { sanitize: true }\nexpect: { faults: 1 }\n');
    const report = await runProfile(await loadProfile(path));
    expect(report.differences).toEqual(['findings: expected 0, was 1']);
    expect(report.sanitizer).toEqual({ findings: 1, seesDriver: true, seesDevice: true });
    expect(report.findings).toEqual([
      {
        code: 'DMA-DEVICE-UNMAPPED',
        check: 'DS-c',
        what: 'the device wrote 64 bytes at an address where nothing is mapped',
        device: 'block',
        queue: null,
        descriptor: null,
        operation: expect.stringMatching(/^(?:read|write) of sector \d+$/),
        request: null,
        buffer: null,
        deviceAddress: '0x3ff00000',
        mappedAt: [],
        addedAt: [],
        syncedAt: [],
        unmappedAt: [],
        misusedAt: expect.arrayContaining([expect.stringContaining('RogueAccesses.afterBuffer')]),
        hint: expect.stringContaining('map before'),
      },
    ]);
  });

  it('says which request a finding is of, also one that is found while its buffer is added', async () => {
    const path = profile('of-request.yaml', 'driver: { sanitize: true, buffers: streaming }\n');
    const text = readFileSync(path, 'utf8').replace(/ {2}rogue.*\n/, '');
    writeFileSync(path, `${text}failures: { wrongAddress: { nth: [50] } }\nqueue: { layout: split }\n`);
    const { findings, explanations } = await runProfile(await loadProfile(path));
    const [first] = findings;
    expect(first).toMatchObject({
      operation: expect.stringMatching(/^write of sector \d+$/),
      request: expect.any(Number),
      queue: 0,
    });
    const explained = explanations.find(({ kind }) => kind === 'finding');
    expect(explained).toMatchObject({
      what: first!.what,
      where: expect.stringMatching(new RegExp(`^${first!.operation}, added as number ${first!.request}, queue 0, `)),
      place: { operation: first!.operation },
    });
    const printed = await print(['run', path, '--reporter', 'list'], false);
    expect(printed).toContain(`where   ${first!.operation}, added as number ${first!.request}`);
  });

  it('is as expected where the profile says how many findings there are', async () => {
    const path = profile('expected.yaml', 'driver: { sanitize: true }\nexpect: { faults: 1, findings: 1 }\n');
    expect((await runProfile(await loadProfile(path))).differences).toEqual([]);
  });

  it('differs without the sanitizer where the profile expects findings', async () => {
    const path = profile('off.yaml', 'expect: { faults: 1, findings: 1 }\n');
    const report = await runProfile(await loadProfile(path));
    expect(report.differences).toEqual(['findings: expected 1, was 0']);
    expect(report.sanitizer).toBeNull();
  });

  it('sees only the driver where the device is in a worker', async () => {
    const path = profile('worker.yaml', 'driver: { sanitize: true }\nexpect: { faults: 1 }\n');
    writeFileSync(path, readFileSync(path, 'utf8').replace('onFault', 'device: worker\n  onFault'));
    const report = await runProfile(await loadProfile(path));
    expect(report.sanitizer).toEqual({ findings: 0, seesDriver: true, seesDevice: false });
    expect(report.differences).toEqual([]);
  });

  it('has no finding of an interrupt that the unit blocks, and one of what is no interrupt at the same address', async () => {
    const path = join(folder, 'interrupts.yaml');
    writeFileSync(
      path,
      `extends: ${join(ROOT, 'profiles/intel-iommu/interrupt-remapping.yaml')}
profile: interrupts
matrix: []
machine: { onFault: zeros, rogue: [${toInterrupts(100, 4)}, ${toInterrupts(110, 64)}, ${toInterrupts(120, 4)}] }
workload: { requests: 200 }
driver: { sanitize: true }
expect: { faults: 3, findings: 1, recorded: 1 }
`,
    );
    const { faults, findings, sanitizer, differences } = await runProfile(await loadProfile(path));
    expect(faults.map(({ cause }) => cause)).toEqual(['interrupt-blocked', 'outside-window', 'interrupt-blocked']);
    expect(findings.map(({ what }) => what)).toEqual([
      'the device wrote 64 bytes at an address of the interrupt range of a PC, where nothing can be mapped',
    ]);
    expect([sanitizer, differences]).toEqual([{ findings: 1, seesDriver: true, seesDevice: true }, []]);
  });

  it.each(['intel-iommu', 'amd-iommu', 'virtio-iommu', 'vfio-streaming'])(
    'has no finding of an interrupt that nothing remaps: %s',
    async (name) => {
      const report = await interruptedRun(name, [toInterrupts(100, 4), toInterrupts(110, 4)]);
      expect([report.sanitizer, report.findings]).toEqual([{ findings: 0, seesDriver: true, seesDevice: true }, []]);
    },
  );

  it('has none of an interrupt that comes before the first reset', async () => {
    const { faults, findings } = await interruptedRun('intel-iommu', [toInterrupts(0, 4)]);
    expect([faults.length, findings]).toEqual([1, []]);
  });

  it.each(['smmuv3', 'intel-iommu/plain-device'])(
    'has a finding of such a write where the address is any other: %s',
    async (name) => {
      const { findings } = await interruptedRun(name, [toInterrupts(100, 4)]);
      expect(findings.map(({ what }) => what)).toEqual([
        'the device wrote 4 bytes at an address where nothing is mapped',
      ]);
    },
  );

  it('says of no access to interrupts that it is beside a mapping', async () => {
    const beside = '{ after: 100, access: read, address: 0xfee00000, length: 4 }';
    const { findings } = await interruptedRun('vfio-streaming', [beside], 'platform: { iovaStart: 0xfedff000 }\n');
    expect(findings.map(({ what }) => what)).toEqual([
      'the device read 4 bytes at an address of the interrupt range, where nothing can be mapped',
    ]);
  });

  it('wraps nothing where it is off', async () => {
    const names = ['memory', 'mapping', 'queue', 'transport', 'addressSpace'] as const;
    const spies = names.map((name) => vi.spyOn(DmaSanitizer.prototype, name));
    const path = join(ROOT, 'profiles/pseries-plain.yaml');
    await runProfile(await loadProfile(path));
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
    const { workload, ...rest } = await loadProfile(path);
    await runProfile({ ...rest, workload: { ...workload, requests: 100 } }, { sanitize: true });
    for (const spy of spies) expect(spy).toHaveBeenCalled();
  });
});

describe('virtio-platform run --sanitize', () => {
  it('exits 1 with findings, and prints them as data', async () => {
    const path = profile('command.yaml', 'expect: { faults: 1 }\n');
    const result = await virtioPlatform(['run', path, '--sanitize', '--json']);
    expect(result.status).toBe(1);
    expect(reportsOf(result)[0]!.findings.map(({ code }) => code)).toEqual(['DMA-DEVICE-UNMAPPED']);
    expect((await virtioPlatform(['run', path])).status).toBe(0);
  });

  it('prints them for people: what, which buffer, where, and what to do, with colour on a terminal only', async () => {
    const path = profile('people.yaml', 'expect: { faults: 1, findings: 1 }\n');
    const text = await print(['run', path, '--sanitize', '--verbose'], false);
    expect(text).toContain(
      '\n  finding DMA-DEVICE-UNMAPPED the device wrote 64 bytes at an address where nothing is mapped [DS-c]\n',
    );
    expect(text).toContain('\n    buffer   device address 0x3ff00000 of block\n');
    expect(text).toMatch(
      /\n {4}misused {2}RogueAccesses\.#makeDue \(packages\/machine-simulated\/src\/rogue-accesses\.ts:\d+:\d+\)\n/,
    );
    expect(text).toContain('\n    do       map before');
    expect(text).not.toContain('\u001B[');
    const noColor = process.env['NO_COLOR'];
    delete process.env['NO_COLOR'];
    const coloured = await print(['run', path, '--sanitize', '--verbose'], true);
    if (noColor !== undefined) process.env['NO_COLOR'] = noColor;
    expect(coloured).toContain('\u001B[31mfinding\u001B[39m');
  });

  it('says where it cannot see the device', async () => {
    const path = profile('blind.yaml', 'expect: { faults: 1 }\n');
    writeFileSync(path, readFileSync(path, 'utf8').replace('onFault', 'device: worker\n  onFault'));
    expect(await print(['run', path, '--sanitize'], false)).toContain('of one run the sanitizer saw only the driver');
  });

  it('is what the page about profiles shows', async () => {
    const page = readFileSync(join(ROOT, 'packages/cli/docs/profiles.md'), 'utf8');
    const shown = page.slice(page.indexOf('  finding the device'));
    const path = profile('readme.yaml', 'expect: { faults: 1 }\n');
    const text = await print(['run', path, '--sanitize'], false);
    const printed = text.slice(text.indexOf('  finding the device'), text.indexOf('\n  again '));
    expect(withoutLines(shown.slice(0, shown.indexOf('```'))).trimEnd()).toBe(withoutLines(printed));
  });
});
