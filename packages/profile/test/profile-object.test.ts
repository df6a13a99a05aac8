import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import { checkProfile, loadProfile, loadProfiles } from '../src/load-profile.ts';
import type { ProfileObject, SectionKeys } from '../src/schema/profile-object.ts';
import { sectionSchemas, TOP_FIELDS } from '../src/schema/profile-schema.ts';
import { NO_VOCABULARY } from '../src/schema/device-vocabulary.ts';
import { formatIssue, ProfileError } from '../src/source/profile-issue.ts';
import { caught } from './support/caught.ts';
import { profileObject } from './support/profile-object.ts';
import { profileText } from './support/profile-text.ts';
import { fixture, temporaryFolder, temporaryProfile } from './support/temporary-folder.ts';

/** What is wrong with a profile that is an object, one line each. */
async function linesOf(source: unknown): Promise<readonly string[]> {
  const { issues } = await checkProfile(source as ProfileObject);
  for (const issue of issues) expect(issue).toMatchObject({ line: 0, column: 0, key: expect.any(String) });
  return issues.map(formatIssue);
}

describe('a profile that is an object', () => {
  it('is the profile that the same YAML is, but for its places', async () => {
    const shared = { device: { type: 'block', offers: ['VERSION_1', 'BLK_FLUSH'] } };
    const ofObject = await loadProfile(profileObject(shared));
    const ofText = await loadProfile(
      temporaryProfile(profileText({ device: '{ type: block, offers: [VERSION_1, BLK_FLUSH] }' })),
    );
    const plain = ({ platform, machine, device, ...rest }: typeof ofObject): object => ({
      ...rest,
      file: '',
      platform: [platform.use, platform.options],
      machine: [machine.use, machine.options, machine.memory],
      device: [
        device.type.name,
        device.module,
        device.interface,
        device.offers?.names(BLOCK_FEATURES),
        device.settings,
      ],
    });
    expect(plain(ofObject)).toEqual(plain(ofText));
    expect(ofObject.file).toBe(join(process.cwd(), '[object]'));
  });

  it('has sizes as numbers or text, and addresses as bigint', async () => {
    const platform = { use: fixture('tiny-platform'), address: 0x800_0000_0000_0001n, small: 16n };
    const profile = await loadProfile(
      profileObject({ platform, machine: { use: fixture('tiny-machine'), memory: 1 << 20 } }),
    );
    expect(profile.memory).toBe(1 << 20);
    expect(profile.platform.options).toEqual({ address: 0x800_0000_0000_0001n, small: 16 });
  });

  it('leaves out what is undefined', async () => {
    const profile = await loadProfile(profileObject({ queue: { layout: 'packed', size: undefined } as object }));
    expect(profile.queue).toEqual({ layout: 'packed' });
  });

  it('is not looked at again once it is loaded', async () => {
    const queue = { layout: 'split' as const, size: 64 };
    const loading = loadProfile(profileObject({ queue }));
    queue.size = 7;
    expect((await loading).queue.size).toBe(64);
  });

  it('finds what it names from its base directory on', async () => {
    const folder = temporaryFolder({ 'base/base.yaml': profileText({ device: '{ type: block, image: disk.img }' }) });
    const profile = await loadProfile({ extends: 'base/base.yaml', profile: 'child' }, { baseDirectory: folder });
    expect(profile).toMatchObject({ name: 'child', file: join(folder, '[object]') });
    expect(profile.device.settings).toMatchObject({ image: join(folder, 'base/disk.img') });
    const own = await loadProfile(profileObject({ device: { type: 'block', image: 'mine.img' } }), {
      baseDirectory: folder,
    });
    expect(own.device.settings).toMatchObject({ image: join(folder, 'mine.img') });
    const here = await loadProfile(profileObject({ device: { type: 'block', image: 'mine.img' } }));
    expect(here.device.settings).toMatchObject({ image: join(process.cwd(), 'mine.img') });
  });

  it('makes several runs with a matrix', async () => {
    const both = profileObject({ matrix: { 'queue.layout': ['split', 'packed'], 'queue.size': [8, 16] } });
    const runs = await loadProfiles(both);
    expect(runs.map(({ name }) => name)).toEqual([
      'test [queue.layout=split, queue.size=8]',
      'test [queue.layout=split, queue.size=16]',
      'test [queue.layout=packed, queue.size=8]',
      'test [queue.layout=packed, queue.size=16]',
    ]);
    expect(runs.map(({ queue }) => queue.size)).toEqual([8, 16, 8, 16]);
    const parts = await loadProfiles(profileObject({ matrix: [{ queue: { size: 8 } }, { profile: 'other' }] }));
    expect(parts.map(({ name }) => name)).toEqual(['test [queue.size=8]', 'other']);
    await expect(loadProfile(both)).rejects.toMatchObject({ code: 'ERR_PROFILE_MATRIX' });
  });

  it('may come from another realm, or have no prototype', async () => {
    const foreign: unknown = runInNewContext(`(${JSON.stringify(profileObject())})`);
    expect((await loadProfile(foreign as ProfileObject)).name).toBe('test');
    const bare: unknown = Object.assign(Object.create(null), profileObject());
    expect((await loadProfile(bare as ProfileObject)).name).toBe('test');
  });
});

describe('what is wrong with an object', () => {
  it.each<[string, object, string]>([
    [
      'a choice',
      { queue: { layout: 'splat' } },
      'queue.layout: must be one of split, packed, not `splat` — did you mean `split`?',
    ],
    ['a key', { queue: { sise: 8 } }, 'queue.sise: unknown key `sise` — did you mean `size`?'],
    ['a section', { qeue: {} }, 'qeue: unknown key `qeue` — did you mean `queue`?'],
    [
      'a unit',
      { machine: { use: fixture('tiny-machine'), memory: '64MB' } },
      'machine.memory: must be a size: a whole number with one of the units B, KiB, MiB, GiB, TiB, not `64MB` — did you mean `64MiB`?',
    ],
    [
      'a missing key',
      { workload: { kind: 'write-read-verify', requests: 1, blockSize: 512 } },
      'workload.depth: `depth` is missing',
    ],
    [
      'a feature',
      { device: { type: 'block', offers: ['VERSION_1', 'BLK_FLUSHH'] } },
      'device.offers.1: must be a feature, not `BLK_FLUSHH` — did you mean `BLK_FLUSH`?',
    ],
    [
      'a range',
      { workload: { kind: 'write-read-verify', requests: 0, depth: 1, blockSize: 512 } },
      'workload.requests: must be at least 1, not `0`',
    ],
    ['an item', { matrix: { 'queue.size': [8, 0] } }, 'matrix.queue.size.1: queue.size: must be at least 1, not `0`'],
    [
      'a path',
      { matrix: { 'queu.size': [8] } },
      'matrix.queu.size: must be the path of a value in a section, such as queue.layout — did you mean `queue.size`?',
    ],
    ['a type', { summary: 7 }, 'summary: must be text, not `7`'],
    ['nothing', { summary: null }, 'summary: must be text; nothing is given'],
  ])('is named by its path: %s', async (_what, more, line) => {
    expect(await linesOf(profileObject(more))).toEqual([line]);
  });

  it('is all named at once, in the order of the checks', async () => {
    const error = await caught(
      loadProfile(profileObject({ queue: { size: 3 }, driver: { privilege: 'root' as never } })),
      ProfileError,
    );
    expect(error.issues.map(({ path, key }) => [path, key])).toEqual([
      ['driver.privilege', 'driver.privilege'],
      ['queue.size', 'queue.size'],
    ]);
    expect(error.message).not.toMatch(/:\d+:\d+/);
  });

  it('is named in the file where it stands, with line and column, for a base', async () => {
    const folder = temporaryFolder({ 'base.yaml': profileText({ queue: '{ size: 0 }' }) });
    const { issues } = await checkProfile({ extends: 'base.yaml' }, { baseDirectory: folder });
    expect(issues).toMatchObject([{ path: 'queue.size', line: 6, column: 16 }]);
    expect(issues[0]).not.toHaveProperty('key');
  });

  it('is a base that is not there', async () => {
    expect(await linesOf({ extends: './missing.yaml' })).toEqual(['extends: missing.yaml does not exist']);
    expect(await linesOf({ extends: { profile: 'x' } })).toEqual(['extends: must be the path of a profile']);
  });

  it('is a plugin that is not there, or that does not like its options', async () => {
    const missing = await linesOf(profileObject({ platform: { use: 'no-such-plugin' } }));
    expect(missing).toHaveLength(1);
    expect(missing[0]).toMatch(/^platform\.use: /);
    const wrong = await linesOf(profileObject({ platform: { use: fixture('tiny-platform'), mode: 'fanci' } }));
    expect(wrong).toHaveLength(1);
    expect(wrong[0]).toMatch(/^platform\.mode: /);
  });
});

/** A profile's part that has any value at `platform.window`. */
function wild(value: unknown): object {
  return { platform: { use: fixture('tiny-platform'), window: value } };
}

class Window {
  readonly kind = 'ddw';
}

describe('an object that is no plain data', () => {
  const cycle: Record<string, unknown> = { kind: 'x' };
  cycle['again'] = { cycle };
  let deep: unknown = 'end';
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const withGetter = {
    get size(): number {
      throw new Error('the getter was called');
    },
  };

  it.each<[string, object, string | RegExp]>([
    ['a getter', { queue: withGetter }, 'queue.size: is a getter or setter; a profile is plain data'],
    ['a function', wild(() => 8), 'platform.window: is a function; a profile is plain data'],
    ['a symbol', wild(Symbol('x')), 'platform.window: is a symbol; a profile is plain data'],
    ['a symbol as a key', wild({ [Symbol('x')]: 1 }), 'platform.window.Symbol(x): is a symbol, which cannot be a key'],
    ['NaN', wild(NaN), 'platform.window: is NaN, which is no number that can be used'],
    ['Infinity', wild([1, Infinity]), 'platform.window.1: is Infinity, which is no number that can be used'],
    [
      'lost bits',
      wild(2 ** 60),
      'platform.window: is beyond 2^53, where a number has lost bits: give a bigint, such as 0x1000n',
    ],
    ['a cycle', wild(cycle), 'platform.window.again.cycle: refers back to `platform.window`, so it never ends'],
    ['a Date', wild(new Date()), 'platform.window: is an object of the class Date; a profile is plain data'],
    ['a Map', wild(new Map()), 'platform.window: is an object of the class Map; a profile is plain data'],
    ['a Buffer', wild(Buffer.alloc(1)), 'platform.window: is an object of the class Buffer; a profile is plain data'],
    [
      'a Promise',
      wild(Promise.resolve()),
      'platform.window: is an object of the class Promise; a profile is plain data',
    ],
    ['a class', wild(new Window()), 'platform.window: is an object of the class Window; a profile is plain data'],
    [
      'an inherited key',
      wild(Object.create({ kind: 'ddw' })),
      'platform.window: is an object with a prototype of its own; a profile is plain data',
    ],
    ['a hole', wild(Object.assign([1], { 2: 2 })), 'platform.window.1: is missing: a list has no holes'],
    ['undefined in a list', wild([undefined]), 'platform.window.0: is undefined; a profile is plain data'],
    [
      '__proto__',
      wild(JSON.parse('{ "__proto__": { "kind": "ddw" } }')),
      'platform.window.__proto__: `__proto__` cannot be a key',
    ],
    ['depth', wild(deep), /^platform\.window(\.0){63}: is nested deeper than 64 levels$/],
    ['a long text', wild('x'.repeat(2 << 20)), '[object]: is larger than 1 MiB'],
  ])('is refused: %s', async (_what, more, line) => {
    const [first, ...others] = await linesOf(profileObject(more));
    if (typeof line === 'string') expect(first).toBe(line);
    else expect(first).toMatch(line);
    expect(others).toEqual([]);
  });

  it.each([null, 5, true, [], () => {}, Symbol('x'), new Date(), undefined])(
    'is refused as a whole: %s',
    async (value) => {
      const lines = await linesOf(value);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^\[object\]: a profile is an object of sections, not /);
    },
  );

  it('is refused where it throws, whatever it is', async () => {
    const thrower = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no');
        },
      },
    );
    expect(await linesOf(profileObject({ queue: thrower }))).toEqual(['[object]: the object throws when it is read']);
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(await linesOf(proxy)).toEqual(['[object]: the object throws when it is read']);
  });

  it('leaves every prototype as it was', async () => {
    const polluting: unknown = JSON.parse(
      '{ "__proto__": { "polluted": 1 }, "constructor": { "prototype": { "polluted": 1 } } }',
    );
    await linesOf({ ...profileObject(), ...(polluting as object) });
    await linesOf(polluting);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('is read in bounded time, also where it refers to one part many times', async () => {
    let laughs: unknown = 'ha';
    for (let i = 0; i < 40; i++) laughs = [laughs, laughs];
    const startedAt = performance.now();
    expect(await linesOf(profileObject(wild(laughs)))).toEqual(['[object]: is larger than 1 MiB']);
    const endless = new Proxy([], { get: (_, key) => (key === 'length' ? 2 ** 32 - 1 : undefined) });
    expect(await linesOf(profileObject(wild(endless)))).toHaveLength(100);
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});

describe('a profile that is text', () => {
  it('is loaded as a file is, with line and column, and paths from its base directory on', async () => {
    const folder = temporaryFolder({ 'base.yaml': profileText() });
    const text = 'extends: base.yaml\nprofile: mine\nqueue: { size: 16 }\n';
    const profile = await loadProfile({ text }, { baseDirectory: folder });
    expect(profile).toMatchObject({ name: 'mine', file: join(folder, '[text]'), queue: { size: 16 } });
    expect(
      (await loadProfiles({ text: `${text}matrix: { queue.layout: [split, packed] }\n` }, { baseDirectory: folder }))
        .length,
    ).toBe(2);
  });

  it('is called by its name in messages', async () => {
    const text = profileText({ queue: '{ size: 0 }' });
    const [unnamed] = (await checkProfile({ text })).issues;
    expect(formatIssue(unnamed!)).toBe('[text]:6:16: queue.size: must be at least 1, not `0`');
    const [named] = (await checkProfile({ text, name: 'disk.yaml' })).issues;
    expect(formatIssue(named!)).toBe('disk.yaml:6:16: queue.size: must be at least 1, not `0`');
    const [outside] = (await checkProfile({ text, name: '../../etc/disk.yaml' })).issues;
    expect(formatIssue(outside!)).toBe('disk.yaml:6:16: queue.size: must be at least 1, not `0`');
  });

  it.each([
    ['', '[text]:1:1: the file is empty'],
    ['- 1\n', '[text]:1:1: a profile is a map of keys, `key: value`'],
    ['x'.repeat(2 << 20), '[text]:1:1: is larger than 1 MiB'],
  ])('is refused where it is no profile', async (text, line) => {
    expect((await checkProfile({ text })).issues.map(formatIssue)).toEqual([line]);
  });

  it('is no path', async () => {
    const [issue] = (await checkProfile(profileText())).issues;
    expect(issue).toMatchObject({ code: 'ERR_PROFILE_NOT_FOUND', message: 'is no file; text is given as { text }' });
  });
});

describe('a file', () => {
  it('may be a URL', async () => {
    const file = temporaryProfile(profileText());
    expect((await loadProfile(new URL(`file://${file}`))).file).toBe(file);
    await expect(loadProfile(new URL('https://example.com/profile.yaml'))).rejects.toThrow(TypeError);
  });
});

describe('the type of an object', () => {
  it('has the keys of the schema', () => {
    const on = true as const;
    const keys: { readonly [Name in keyof SectionKeys]: Record<keyof SectionKeys[Name], true> } = {
      platform: { use: on },
      machine: { use: on, memory: on },
      device: { type: on, use: on, interface: on, offers: on, misbehaves: on, dmaBits: on, minAlignMask: on },
      driver: {
        privilege: on,
        interface: on,
        buffers: on,
        timeout: on,
        usedLength: on,
        lacks: on,
        clears: on,
        forces: on,
        sanitize: on,
      },
      policy: {
        experimental: on,
        strict: on,
        allowLegacy: on,
        allowUnflaggedBounce: on,
        noTranslationSatisfiesRestricted: on,
        hardenRing: on,
        allowUnsafeNoIommu: on,
        allowUnsafeInterrupts: on,
        probeUnflagged: on,
        noTranslationBit: on,
        identityAddressBit: on,
      },
      queue: { layout: on, size: on },
      workload: { kind: on, requests: on, depth: on, seed: on, disruptions: on },
      failures: { map: on, region: on, wrongAddress: on },
      expect: {
        accepted: on,
        declined: on,
        path: on,
        queue: on,
        outcome: on,
        refusal: on,
        failure: on,
        faults: on,
        recorded: on,
        leaked: on,
        configChanges: on,
        findings: on,
        verified: on,
      },
    };
    const schemas = Object.entries(sectionSchemas(NO_VOCABULARY)).map(([name, { shape }]) => [
      name,
      Object.keys(shape).toSorted(),
    ]);
    expect(Object.fromEntries(schemas)).toEqual(
      Object.fromEntries(Object.entries(keys).map(([name, of]) => [name, Object.keys(of).toSorted()])),
    );
    const top: Record<Exclude<keyof ProfileObject, keyof SectionKeys>, true> = {
      profile: on,
      summary: on,
      extends: on,
      matrix: on,
    };
    expect(Object.keys(TOP_FIELDS).toSorted()).toEqual(Object.keys(top).toSorted());
  });
});
