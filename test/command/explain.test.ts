import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ERROR_CODES } from '@virtio-platform/core';
import { loadProfiles } from '@virtio-platform/profile';
import { explainedCodes, type AddressExplanation, type Explanation, type FeatureStory } from '@virtio-platform/runner';
import { FINDING_KINDS } from '@virtio-platform/dma-sanitizer';
import { afterAll, describe, expect, it } from 'vitest';
import { commandHere, reportsOf, ROOT } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

const profile = (name: string): string => join(ROOT, 'profiles', `${name}.yaml`);
const LINEAR = profile('pseries-linear');
const UNPRIVILEGED = profile('argument/09-unprivileged-driver');

async function explain(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await commandHere(['explain', ...words]);
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

async function explained<T>(...words: string[]): Promise<T[]> {
  return JSON.parse(await explain(...words, '--json')) as T[];
}

async function walk(name: string, address: string): Promise<AddressExplanation> {
  return (await explained<AddressExplanation>(profile(name), '--address', address))[0]!;
}

describe('explain <profile>', () => {
  it('answers first: the path, the rule that chose it, and the window option', async () => {
    const lines = (await explain(LINEAR)).split('\n');
    expect(lines[0]).toMatch(/^pseries-linear \[queue\.layout=split\] {2}pseries on simulated/);
    expect(lines[1]).toMatch(/^path linear: the bus address/);
    expect(lines[2]).toMatch(/^ {2}rule +access-platform-if-offered: offered/);
    expect(lines[3]).toMatch(/^ +virtio 1\.4 §6\.1/);
    expect(lines[4]).toMatch(/^ {2}option +platform\.window: \{ kind: ddw, mapping: linear \}$/);
    expect(lines[5]).toMatch(/^ {2}accepted +.*ACCESS_PLATFORM/);
    expect(lines[6]).toMatch(/^ {2}declined +RING_PACKED: the driver does not support it: queue\.layout is split/);
  });

  it.each([
    ['pseries-dynamic', 'platform.window: { kind: default, mapping: dynamic }'],
    ['pseries-secure', 'platform.window: { kind: ddw, mapping: linear }, platform.secure: true'],
    ['intel-iommu', 'platform.domain: translated'],
    ['intel-iommu/identity-address', 'platform.domain: identity'],
    ['sev-bounce', 'platform.technology: sev'],
    ['vfio-pool', 'platform.container: type1v2'],
    ['no-iommu-identity', null],
    ['pseries-plain', null],
    ['argument/03-bounce-without-telling', 'policy.allowUnflaggedBounce: true'],
  ])('names the option that chose the path of %s', async (name, option) => {
    const [{ choice }] = (await explained<Explanation>(profile(name))) as [Explanation];
    expect(choice?.option).toBe(option);
  });

  it('knows the unit and the host bridge that the options of QEMU say, and starts no QEMU', async () => {
    const units = await explained<Explanation>(profile('qemu/intel-iommu-units'));
    expect(units).toHaveLength((await loadProfiles(profile('qemu/intel-iommu-units'))).length);
    const { status, stderr } = await commandHere(['explain', profile('qemu/pseries-firmware')]);
    expect(status).toBe(1);
    expect(stderr).toContain('the default window begins at bus address 0x10000000, so no table makes it the identity');
  });

  it('answers a refusal first, the option that decided it, and what would have to change', async () => {
    const lines = (await explain(profile('refused/vfio-without-access-platform'))).split('\n');
    expect(lines[1]).toMatch(/^refused EPERM by unprivileged-needs-isolation: /);
    expect(lines.slice(2, 6).join('\n')).toMatch(
      /Tsirkin, 2019-07-01[^]*\n {2}option +driver\.privilege: process\n[^]*any one of\n +device +offer ACCESS_PLATFORM/,
    );
  });

  it.each([
    [
      'pseries-linear',
      'driver: { privilege: process }',
      'driver.privilege: process, platform.window: { kind: ddw, mapping: linear }',
    ],
    [
      'intel-iommu/pass-through',
      'driver: { privilege: process }',
      'driver.privilege: process, platform.domain: pass-through',
    ],
    [
      'vfio-pool',
      'platform: { interruptRemapping: false }',
      'driver.privilege: process, platform.interruptRemapping: false, policy.allowUnsafeInterrupts: false',
    ],
    [
      'intel-iommu/plain-device',
      'platform: { confinesEveryDevice: true }',
      'platform.domain: translated, platform.confinesEveryDevice: true, policy.strict: true',
    ],
    ['legacy-device', 'policy: { allowLegacy: false }', 'policy.allowLegacy: false'],
    ['sev-bounce', 'device: { offers: [VERSION_1] }', 'policy.allowUnflaggedBounce: false'],
    ['sev-bounce', 'platform: { emulatedIommu: true }', 'platform.emulatedIommu: true'],
    [
      'pseries-secure',
      'device: { offers: [VERSION_1] }',
      'platform.secure: true, policy.allowUnflaggedBounce: false, policy.strict: true',
    ],
    ['pseries-linear', 'driver: { lacks: [ACCESS_PLATFORM] }', 'driver.lacks: [ACCESS_PLATFORM]'],
    ['pseries-linear', 'driver: { clears: [ACCESS_PLATFORM] }', 'driver.clears: [ACCESS_PLATFORM]'],
    ['pseries-linear', 'driver: { clears: [VERSION_1] }', 'driver.clears: [VERSION_1]'],
    ['vfio/noiommu', 'driver: { privilege: kernel }', 'platform.container: noiommu, driver.privilege: kernel'],
    ['vfio-pool', 'device: { offers: [VERSION_1] }', 'driver.privilege: process'],
  ])('names the option by which %s with %s is refused, in every form', async (name, change, option) => {
    const path = join(folder, 'refused.yaml');
    writeFileSync(
      path,
      `extends: ${profile(name)}\nprofile: refused\nmatrix: []\nexpect: { outcome: refused }\n${change}\n`,
    );
    const [{ refusal }] = (await explained<Explanation>(path)) as [Explanation];
    expect(refusal?.option).toBe(option);
    expect(await explain(path)).toContain(`\n  option    ${option}\n`);
    expect((await explain(path, '--quote')).replace(/\n {11}/g, ' ')).toContain(`  Option:  ${option}\n`);
    const [story] = (await explained<FeatureStory>(path, '--feature', 'VERSION_1')) as [FeatureStory];
    expect(story).toMatchObject({ option, refusal });
    expect(await explain(path, '--feature', 'VERSION_1')).toMatch(
      new RegExp(`why +the device is refused ${refusal!.code} by `),
    );
    const [report] = reportsOf(await commandHere(['run', path, '--json']));
    expect(report!.refusal).toMatchObject({ code: refusal!.code, rule: refusal!.rule, option });
  });

  it('keeps rules that only looked behind --all', async () => {
    const [short, all] = [await explain(LINEAR), await explain(LINEAR, '--all')];
    expect(short).not.toContain('reserved-bits-ignored');
    expect(all).toMatch(/^reserved-bits-ignored: nothing to decline — virtio 1\.4 §2\.2/m);
    expect(all).toMatch(/^ {2}accepted {2}VERSION_1: offered and supported \(accept-the-rest\)$/m);
    expect(all.startsWith(short.split('\n', 3).join('\n'))).toBe(true);
  });

  it('takes several profiles, codes and keys, and gives an array whatever it is', async () => {
    const answers = await explained<{ profile?: string; code?: string; path?: string }>(
      profile('pseries-plain'),
      profile('entropy'),
      'ERR_DMA_WINDOW',
      'platform.window.kind',
    );
    expect(answers.map(({ profile: name, code, path }) => name ?? code ?? path)).toEqual([
      'pseries-plain',
      'entropy',
      'ERR_DMA_WINDOW',
      'platform.window.kind',
    ]);
    expect(await explained(profile('pseries-plain'))).toHaveLength(1);
  });

  it('goes on after a profile that is wrong', async () => {
    const { status, stdout, stderr } = await commandHere(['explain', 'nothing.yaml', profile('pseries-plain')]);
    expect(status).toBe(2);
    expect(stderr).toContain('ERR_PROFILE_NOT_FOUND');
    expect(stdout).toMatch(/^path physical: /m);
  });
});

describe('explain --feature', () => {
  it('tells the whole story of a feature, under any of its spellings', async () => {
    const path = join(folder, 'taken-back.yaml');
    writeFileSync(path, `extends: ${profile('pseries-plain')}\nprofile: taken\ndriver: { clears: [RING_EVENT_IDX] }\n`);
    const [story] = (await explained<FeatureStory>(path, '--feature', 'VIRTIO_F_RING_EVENT_IDX')) as [FeatureStory];
    expect(story).toMatchObject({ feature: 'RING_EVENT_IDX', bit: 29, offered: true, outcome: 'declined' });
    expect(story.steps.map(({ rule, outcome }) => `${rule} ${outcome}`)).toEqual([
      'accept-the-rest accepted',
      'driver-takes-back declined',
    ]);
  });

  it.each([
    ['pseries-linear', 'queue: { layout: split }', 'RING_PACKED', 'queue.layout: split'],
    ['pseries-linear', 'driver: { lacks: [RING_EVENT_IDX] }', 'RING_EVENT_IDX', 'driver.lacks: [RING_EVENT_IDX]'],
    ['sev-bounce', 'policy: { hardenRing: true }', 'RING_INDIRECT_DESC', 'policy.hardenRing: true'],
    [
      'pseries-linear',
      'device: { offers: [VERSION_1, ACCESS_PLATFORM_NO_TRANSLATION] }',
      'ACCESS_PLATFORM_NO_TRANSLATION',
      'policy.experimental: false',
    ],
    ['pseries-linear', '', 'ACCESS_PLATFORM', 'platform.window: { kind: ddw, mapping: linear }'],
  ])('names the option by which under %s, with %s, %s is decided', async (name, change, feature, option) => {
    const path = join(folder, 'decided.yaml');
    writeFileSync(path, `extends: ${profile(name)}\nprofile: decided\nmatrix: []\n${change}\n`);
    const [story] = (await explained<FeatureStory>(path, '--feature', feature)) as [FeatureStory];
    expect(story.option).toBe(option);
    expect(await explain(path, '--feature', feature)).toContain(`\n  option    ${option}\n`);
  });

  it('says what is not offered, and what a refused device would have had', async () => {
    expect(await explain(profile('pseries-plain'), '--feature', 'ACCESS_PLATFORM')).toMatch(
      /ACCESS_PLATFORM \(bit 33\): not offered\n +why +the device does not offer it/,
    );
    const refused = profile('refused/vfio-without-access-platform');
    const [story] = (await explained<FeatureStory>(refused, '--feature', 'VERSION_1')) as [FeatureStory];
    expect(story.outcome).toBe('unused');
  });

  it.each([
    ['--address', '0x1000', '--feature', 'ACCESS_PLATFORM'],
    ['--address', '0x1000', '--quote'],
    ['--all', '--quote'],
    ['--all', '--feature', 'ACCESS_PLATFORM'],
  ])('leaves none of its options out without a word: %s %s %s', async (...words) => {
    const { status, stdout, stderr } = await commandHere(['explain', LINEAR, ...words]);
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining('cannot be used with option')]);
  });

  it('suggests a name for one that means nothing', async () => {
    expect((await commandHere(['explain', LINEAR, '--feature', '33'])).stderr).toContain('BIT_40');
    const { status, stderr } = await commandHere(['explain', LINEAR, '--feature', 'RING_PACKD']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/no feature RING_PACKD \[ERR_EXPLAIN_UNKNOWN\]\n +did you mean RING_PACKED\?/);
  });
});

describe('explain --address', () => {
  it('walks a bus address backwards through window and TCE table, and a guest address forwards', async () => {
    const backward = (await walk('pseries-linear', '0x800000000010000')).backward!;
    expect(backward.guest).toBe('0x10000');
    expect(backward.answer).toMatch(/^it leads to guest memory 0x10000, ring or table of queue 0, byte \d+$/);
    expect(backward.steps.map(({ table }) => table)).toEqual([
      expect.stringMatching(/^DMA window \(LIOBN 0x[\da-f]+\)$/),
      'TCE table, pages of 0x10000',
    ]);
    expect(backward.steps[1]!.says).toBe('entry 1 points at page 0x10000, to read and write');
    const forward = (await walk('pseries-linear', '0x20000')).forward!;
    expect(forward.device).toBe('0x800000000020000');
    expect(forward.what).toMatch(/^pool of queue 0, byte \d+$/);
    expect(forward.steps.at(-1)!.says).toContain('points at page 0x20000');
  });

  it('walks the tables of VT-d level by level, both ways to the same memory', async () => {
    const { forward } = await walk('intel-iommu', '0x10000');
    expect(forward!.steps.map(({ table }) => table.replace(/ at 0x[\da-f]+$/, ''))).toEqual([
      'root table',
      'context table',
      'page table of level 3',
      'page table of level 2',
      'page table of level 1',
    ]);
    const { backward } = await walk('intel-iommu', forward!.device!);
    expect(backward!.guest).toBe('0x10000');
    expect(backward!.what).toBe(forward!.what);
  });

  it.each([
    ['intel-iommu', 'interrupt range of a PC'],
    ['intel-iommu/identity-address', 'interrupt range of a PC'],
    ['amd-iommu', 'interrupt range of a PC'],
    ['virtio-iommu', 'MSI region of the unit'],
    ['vfio-pool', 'interrupt range'],
  ])('walks no table of %s for an address of interrupts', async (name, what) => {
    const answer = `it leads nowhere: it is in the ${what}, where a write is an interrupt and no access to memory`;
    for (const address of ['0xfee00000', '0xfee00010', '0xfeefffff']) {
      const { backward } = await walk(name, address);
      expect(backward).toMatchObject({ steps: [], guest: null, what: null, answer });
    }
    for (const address of ['0xfedfffff', '0xfef00000', '0x1fee00000'])
      expect((await walk(name, address)).backward!.answer).not.toContain('interrupt');
  });

  it('walks none where the unit remaps interrupts either', async () => {
    const path = join(folder, 'remapping.yaml');
    writeFileSync(path, `extends: ${profile('intel-iommu/interrupt-remapping')}\nprofile: remapping\nmatrix: []\n`);
    const text = await explain(path, '--address', '0xfee00010');
    expect(text).toMatch(/as a device address: it leads nowhere: it is in the interrupt range of a PC/);
    expect(text).not.toContain('root table');
  });

  it.each(['smmuv3', 'pseries-linear', 'intel-iommu/plain-device'])(
    'takes an address that is one of interrupts elsewhere for any other under %s',
    async (name) => {
      expect((await walk(name, '0xfee00000')).backward!.answer).not.toContain('interrupt');
    },
  );

  it('names the slot that a buffer is copied to', async () => {
    const { forward, mapped } = await walk('sev-bounce', '0x300000');
    expect(forward!.answer).toMatch(
      /^nothing is mapped there now; a driver that maps it has the device use a copy at /,
    );
    expect(forward!.steps.at(-1)!.says).toMatch(/^slot \d+ of the pool holds the copy of physical 0x300000$/);
    const sample = mapped.find(({ what }) => what.startsWith('sample buffer'))!;
    const { backward } = await walk('sev-bounce', sample.device);
    expect(backward!.steps.at(-1)!.says).toContain(`holds the copy of physical ${sample.guest}`);
    expect(backward!.what).toBe('sample buffer of queue 0');
  });

  it.each([
    ['pseries-linear', '0x700000000000000', 'it leads nowhere: it is in no window of the IOMMU', null],
    ['pseries-dynamic', '0x2000000', 'it leads nowhere: nothing is mapped at it', null],
    ['vfio-pool', '0x7fff0000', 'it leads nowhere: nothing is mapped at it', null],
    [
      'sev-bounce',
      '0x200000',
      'it leads to guest memory 0x200000, and the device is stopped there: the page is',
      '0x200000',
    ],
    ['pseries-secure', '0x800000000200000', 'the access is denied', '0x200000'],
    ['pseries-plain', '0x7fffffff0000', 'it leads nowhere: it is outside of guest memory', null],
  ])('says under %s where %s leads', async (name, address, says, guest) => {
    const { backward } = await walk(name, address);
    expect(backward!.answer).toContain(says);
    expect(backward!.guest).toBe(guest);
  });

  it('fails where the path cannot be opened, as the run does', async () => {
    const path = join(folder, 'without-windows.yaml');
    const platform = 'platform: { dynamicWindows: none }';
    writeFileSync(path, `extends: ${profile('pseries-linear')}\nprofile: without\n${platform}\nmatrix: []\n`);
    const { status, stderr } = await commandHere(['explain', path]);
    expect(status).toBe(1);
    expect(stderr).toContain('[ERR_DMA_WINDOW]');
  });

  it('says that nothing stops a device where no driver maps anything, in front of a pass-through domain', async () => {
    const path = join(folder, 'large.yaml');
    writeFileSync(
      path,
      `extends: ${profile('intel-iommu/pass-through')}\nprofile: large\nmatrix: []\nmachine: { memory: 8GiB }\n`,
    );
    const text = await explain(path, '--address', '0x180000000');
    expect(text).toContain('as a device address: no driver maps it, and nothing stops the device there');
    expect(text).toContain('a driver could not map it: the device reaches it all the same');
  });

  it('says where guest memory ends, and that a refused device has nothing mapped', async () => {
    const { forward } = await walk('pseries-linear', '0x800000000010000');
    expect(forward!.answer).toBe('no guest memory: the guest has 0x0 to 0x3ffffff');
    expect(await explain(UNPRIVILEGED, '--address', '0x1000')).toContain('refused, so nothing is mapped');
  });

  it('answers also where the device is in a worker, and refuses what is no address', async () => {
    expect((await walk('vfio-worker', '0x0')).backward!.sees).not.toBeNull();
    for (const wrong of ['0x', 'abc', '0x12345678901234567', '-1'])
      expect((await commandHere(['explain', LINEAR, '--address', wrong])).status).toBe(2);
  });
});

describe('explain --quote', () => {
  it('prints a block for a mail with Message-ID, link and clause, in 72 columns of plain text', async () => {
    const text = await explain(UNPRIVILEGED, '--quote');
    expect(text).toMatch(/^09-unprivileged-driver \[#1\]: refused EPERM$/m);
    expect(text).toContain('  Message-ID: <877e96qxm7.fsf@morokweng.localdomain>\n');
    expect(text).toContain('  https://lore.kernel.org/r/877e96qxm7.fsf@morokweng.localdomain\n');
    expect(text).toMatch(/^ {2}Clause: {2}mail: Bauermann, 2019-06-27/m);
    // oxlint-disable-next-line no-control-regex
    expect(text).not.toMatch(/\u001B/);
    for (const name of ['pseries-linear', 'argument/09-unprivileged-driver', 'sev-bounce', 'intel-iommu/plain-device'])
      for (const line of (await explain(profile(name), '--quote')).split('\n'))
        expect(line.length).toBeLessThanOrEqual(72);
  });

  it('names the clause and the commit', async () => {
    expect(await explain(LINEAR, '--quote')).toMatch(
      /Clause: {2}virtio 1\.4 §6\.1 and §6\.2[^]*Option:|Option:[^]*Clause: {2}virtio 1\.4/,
    );
    const path = join(folder, 'hardware.yaml');
    const platform = '{ use: "@virtio-platform/platform-intel-iommu", confinesEveryDevice: true }';
    writeFileSync(path, `extends: ${profile('intel-iommu/plain-device')}\nprofile: hardware\nplatform: ${platform}\n`);
    expect(await explain(path, '--quote')).toContain('  Commit: 1a937693993ff10d7e80cca6ddd55f3000aa6376\n');
  });

  it('quotes one feature', async () => {
    const text = await explain(
      profile('argument/12-device-offers-both'),
      '--quote',
      '--feature',
      'ACCESS_PLATFORM_NO_TRANSLATION',
    );
    expect(text).toMatch(/^12-device-offers-both: ACCESS_PLATFORM_NO_TRANSLATION \(bit 48\) declined$/m);
    expect(text).toContain('  Message-ID: <87a7go71hz.fsf@morokweng.localdomain>\n');
  });
});

describe('explain of a code', () => {
  it('has the text of the documentation for every code, and no other', () => {
    const codes = explainedCodes();
    expect(codes.filter(({ kind }) => kind === 'error').map(({ code }) => code)).toEqual([...ERROR_CODES]);
    const findings = codes.filter(({ kind }) => kind === 'finding').map(({ code }) => code);
    expect(findings.toSorted()).toEqual(Object.keys(FINDING_KINDS).toSorted());
    for (const { text } of codes) expect(text.length).toBeGreaterThan(20);
  });

  it('prints it without the marks of Markdown', async () => {
    const text = await explain('DMA-OVERLAP', 'err_dma_window');
    expect(text).toMatch(
      /^DMA-OVERLAP {2}a finding of the DMA sanitizer\n\nDD-01\. A buffer is mapped whose first cache/,
    );
    expect(text).toMatch(/^ERR_DMA_WINDOW {2}an error\n\nThe hypervisor does not give[^`]*docs\/errors\.md/m);
  });

  it('suggests one', async () => {
    const { status, stderr } = await commandHere(['explain', 'DMA-OVERLP', 'ERR_PROFILE_SYNTX']);
    expect(status).toBe(2);
    expect(stderr).toContain('did you mean DMA-OVERLAP?');
    expect(stderr).toContain('did you mean ERR_PROFILE_SYNTAX?');
  });
});

describe('explain of a key', () => {
  it('says what it is, its values, its default and the plugin that has it', async () => {
    const text = await explain('platform.window.kind');
    expect(text).toMatch(/^platform\.window\.kind {2}default: the window that is always there/);
    expect(text).toMatch(
      /^ {2}values +one of default, ddw\n {2}default +"ddw"\n {2}of +use: @virtio-platform\/platform-pseries$/m,
    );
    expect(await explain('queue.size')).toMatch(/values +whole number from 1 to 32768/);
    expect(await explain('device.capacity')).toMatch(/of +type: block/);
    expect(await explain('platform.pool')).toMatch(/platform-pseries[^]*platform-sev/);
    expect(await explain('machine.memory')).toMatch(/number with a unit: B, KiB, MiB, GiB, TiB/);
  });

  it('suggests one, also for the end of a key', async () => {
    const { status, stderr } = await commandHere(['explain', 'window.kind', 'plaform.window.kind']);
    expect(status).toBe(2);
    expect(stderr.match(/did you mean platform\.window\.kind\?/g)).toHaveLength(2);
  });
});
