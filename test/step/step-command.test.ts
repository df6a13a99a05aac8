import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { commandHere, ROOT } from '../command/command.ts';
import { QEMU_TESTS } from '../machines/qemu-installed.ts';

const PROFILES = join(ROOT, 'profiles');
const shipped = readdirSync(PROFILES).filter((name) => name.endsWith('.yaml'));

interface JsonStep {
  readonly step: number;
  readonly says: string;
  readonly section: string | null;
  readonly event: { readonly kind: string; readonly time: number };
  readonly state: { readonly counts: Readonly<Record<string, number>>; readonly seesDevice: boolean };
}

interface JsonRun {
  readonly schemaVersion: number;
  readonly run: { readonly outcome: string; readonly hasMemory: boolean; readonly steps: number };
  readonly steps: readonly JsonStep[];
}

async function stepped(...words: readonly string[]): Promise<JsonRun> {
  const { status, stdout, stderr } = await commandHere(['step', ...words, '--json']);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as JsonRun;
}

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-step-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('step', () => {
  it.each(shipped)('walks through %s to its end, and everything is given back', async (name) => {
    const { run, steps } = await stepped(join(PROFILES, name), '--requests', '2');
    expect(run).toMatchObject({ hasMemory: true, steps: steps.length });
    expect(run.outcome).toMatch(/^completed/);
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i + 1));
    const times = steps.map(({ event }) => event.time);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
    // Each text is whole sentences, and leaves no value out.
    expect(steps.filter(({ says }) => !/[.:)]$/.test(says) || /undefined|NaN|null|\.\./.test(says))).toEqual([]);
    expect(steps.filter(({ section }) => section !== null && !/^[2-6](\.\d+)*$/.test(section))).toEqual([]);
    const { counts } = steps.at(-1)!.state;
    expect(counts).toMatchObject({ outstanding: 0, mapped: 0 });
    expect(counts['added']).toBe(counts['returned']);
    const most = Math.max(...steps.map(({ state }) => state.counts['outstanding']!));
    expect(most).toBeGreaterThan(0);
  });

  it('shows of a refused device its negotiation only', async () => {
    const { run, steps } = await stepped(join(PROFILES, 'refused/vfio-without-access-platform.yaml'));
    expect(run.outcome).toMatch(/^refused by unprivileged-needs-isolation/);
    const kinds = new Set(steps.map(({ event }) => event.kind));
    expect([...kinds].toSorted()).toEqual(['features', 'negotiation', 'status']);
    expect(steps.find(({ event }) => event.kind === 'negotiation')!.says).toContain('refuses the device');
  });

  it('ends at a failure, with its reason and what the device has', async () => {
    const profile = join(folder, 'wrong.yaml');
    writeFileSync(
      profile,
      [
        `extends: ${join(PROFILES, 'pseries-dynamic.yaml')}`,
        'profile: wrong-address',
        'summary: The device gets an address at which nothing is mapped.',
        'machine: { onFault: needs-reset }',
        'failures: { wrongAddress: { nth: [2] } }',
      ].join('\n'),
    );
    const { steps, run } = await stepped(profile);
    const fault = steps.find(({ event }) => event.kind === 'fault');
    expect(fault?.says).toMatch(/^The access of the device is a fault: read of 4096 bytes at 0x80014000/);
    expect(run.outcome).toMatch(/^the run failed: .*\[ERR_DEVICE_NEEDS_RESET\]$/);
    const last = steps.at(-1)!;
    expect(last.event.kind).toBe('failure');
    expect(last.says).toContain('The device still has buffers');
    expect(last.says).toMatch(/takes everything back: \d+ events, left out here\.$/);
    expect(last.state.counts['outstanding']).toBeGreaterThan(0);
  });

  it('says of a device in a worker that its steps are out of sight, and shows what it wrote to the ring', async () => {
    const { stdout, status } = await commandHere(['step', join(PROFILES, 'vfio-worker.yaml'), '--requests', '2']);
    expect(status).toBe(0);
    expect(stdout).toContain('its own steps are out of sight');
    expect(stdout).toMatch(/memory .*used\.idx 0 -> 1/);
    expect(stdout).not.toMatch(/^step \d+ of \d+ {2}(pop|push)/m);
  });

  it.skipIf(!QEMU_TESTS.mayRun).each(['vhost-user/physical.yaml', 'qemu/entropy.yaml'])(
    `walks through a run of %s and through its trace, in which the driver alone is seen (${QEMU_TESTS.needs})`,
    async (name) => {
      const { run, steps } = await stepped(join(PROFILES, name), '--requests', '2');
      expect(run).toMatchObject({ hasMemory: true, outcome: 'completed: 2 of 2 requests, 0 errors' });
      expect(steps.some(({ state }) => state.seesDevice)).toBe(false);
      expect(steps.filter(({ says }) => !/[.:)]$/.test(says) || /undefined|NaN|null/.test(says))).toEqual([]);
      expect(steps.at(-1)!.state.counts).toMatchObject({ added: 2, returned: 2, outstanding: 0, mapped: 0 });
      const trace = join(folder, `${basename(name)}.json`);
      const short = ['--set', 'workload.requests=2', '--set', 'workload.depth=1'];
      expect((await commandHere(['run', join(PROFILES, name), ...short, '--trace', trace])).status).toBe(0);
      const recorded = await stepped(trace);
      expect(recorded.run.hasMemory).toBe(false);
      expect(recorded.steps.at(-1)!.state.counts).toMatchObject({ added: 2, returned: 2, outstanding: 0 });
    },
  );

  it('walks through a trace that a run wrote, without the memory of its rings', async () => {
    const trace = join(folder, 'run.json');
    const run = await commandHere(['run', join(PROFILES, 'entropy.yaml'), '--trace', trace]);
    expect(run.status).toBe(0);
    const { status, stdout } = await commandHere(['step', trace]);
    expect(status).toBe(0);
    expect(stdout).toContain('The memory of the rings was not recorded');
    expect(stdout).toMatch(/^ {2}The driver writes avail\.idx = \d+\. From now on the device may take/m);
    expect(await commandHere(['step', trace, '--run', '9'])).toMatchObject({ status: 2 });
  });

  it('begins at a step, takes another run, and says what is wrong with its options', async () => {
    const profile = join(PROFILES, 'no-iommu-identity.yaml');
    const { steps } = await stepped(profile, '--requests', '1', '--at', '5', '--run', '2');
    expect(steps[0]!.step).toBe(5);
    expect(steps.some(({ says }) => says.includes('RING_PACKED'))).toBe(true);
    const last = await commandHere(['step', profile, '--requests', '1', '--at', '100000', '--json']);
    expect(last.stderr).toMatch(/^--at 100000: step \d+ is the last one, and is shown\n$/);
    expect((JSON.parse(last.stdout) as JsonRun).steps).toHaveLength(1);
    const none = await commandHere(['step', profile, '--run', '9']);
    expect(none).toMatchObject({
      status: 2,
      stderr: 'error: --run 9: this profile is 2 runs: give --run a number from 1 to 2\n',
    });
    for (const words of [
      ['--requests', '0'],
      ['--requests', '1001'],
      ['--at', '0'],
      ['--run', 'x'],
    ])
      expect((await commandHere(['step', profile, ...words])).status).toBe(2);
    expect((await commandHere(['step', join(folder, 'missing.yaml')])).status).toBe(2);
  });
});
