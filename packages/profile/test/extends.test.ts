import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkProfile, loadProfile } from '../src/load-profile.ts';
import { ProfileError } from '../src/source/profile-issue.ts';
import { caught } from './support/caught.ts';
import { profileText } from './support/profile-text.ts';
import { fixture, temporaryFolder } from './support/temporary-folder.ts';

const BASE = profileText({
  platform: `{ use: ${fixture('tiny-platform')}, mode: fancy, window: { pages: 4 } }`,
  device: '{ type: block, offers: [VERSION_1, ACCESS_PLATFORM], image: disk.img }',
});

describe('extends', () => {
  it('merges maps, replaces lists, and lets the child win', async () => {
    const child = `extends: base/base.yaml
profile: child
platform: { window: { pages: 8 } }
device: { offers: [VERSION_1] }
queue: { size: 64 }
`;
    const folder = temporaryFolder({ 'child.yaml': child, 'base/base.yaml': BASE });
    const profile = await loadProfile(join(folder, 'child.yaml'));
    expect(profile).toMatchObject({ name: 'child', file: join(folder, 'child.yaml'), queue: { size: 64 } });
    expect(profile.platform.options).toEqual({ mode: 'fancy', window: { pages: 8 } });
    expect(profile.device.offers?.names(BLOCK_FEATURES)).toEqual(['VERSION_1']);
  });

  it('knows in which file a value stands', async () => {
    const child = `extends: base.yaml\nprofile: child\nplatform: { window: { pages: 8 } }\n`;
    const folder = temporaryFolder({ 'child.yaml': child, 'base.yaml': BASE });
    const { platform } = await loadProfile(join(folder, 'child.yaml'));
    expect(platform.location).toMatchObject({ file: join(folder, 'base.yaml'), line: 2 });
    expect(platform.locate(['mode'])).toMatchObject({ file: join(folder, 'base.yaml'), line: 2 });
    expect(platform.locate(['window', 'pages'])).toEqual({ file: join(folder, 'child.yaml'), line: 3, column: 30 });
  });

  it('finds images and plugins from the folder of the file that names them', async () => {
    const base = BASE.replace(fixture('tiny-machine'), './machine.ts');
    const folder = temporaryFolder({
      'child.yaml': 'extends: base/base.yaml\nprofile: child\n',
      'base/base.yaml': base,
    });
    const profile = await loadProfile(join(folder, 'child.yaml'));
    expect(profile.machine.use).toBe(join(folder, 'base', 'machine.ts'));
    expect(profile.device).toMatchObject({ settings: { image: join(folder, 'base', 'disk.img') } });
  });

  it('replaces the whole section of another plugin', async () => {
    const child = `extends: base.yaml\nplatform: { use: ./other.ts, depth: 1 }\n`;
    const folder = temporaryFolder({ 'child.yaml': child, 'base.yaml': BASE });
    const { platform } = await loadProfile(join(folder, 'child.yaml'));
    expect(platform.options).toEqual({ depth: 1 });
  });

  it('says where the kind stands that a key of the base does not go with', async () => {
    const base = BASE.replace('write-read-verify, requests: 20', 'mixed, reads: 0.5, requests: 20');
    const folder = temporaryFolder({
      'child.yaml': 'extends: base.yaml\nworkload: { kind: write-read-verify }\n',
      'base.yaml': base,
    });
    expect((await checkProfile(join(folder, 'base.yaml'))).issues).toEqual([]);
    const { issues } = await checkProfile(join(folder, 'child.yaml'));
    expect(issues).toMatchObject([{ file: join(folder, 'base.yaml'), line: 7, path: 'workload.reads' }]);
    expect(issues[0]!.message).toMatch(/^write-read-verify has no reads \(workload\.kind is at .*child\.yaml:2:19\)$/);
  });

  it('reports issues at the file and line where the value stands', async () => {
    const child = `extends: base.yaml\nqueue: { size: 0 }\n`;
    const folder = temporaryFolder({ 'child.yaml': child, 'base.yaml': BASE.replace('4KiB', '4KB') });
    const { issues } = await checkProfile(join(folder, 'child.yaml'));
    expect(issues.map(({ file, line, path }) => [file, line, path])).toEqual([
      [join(folder, 'child.yaml'), 2, 'queue.size'],
      [join(folder, 'base.yaml'), 7, 'workload.blockSize'],
    ]);
  });

  it('reports a contradiction between a child and its base', async () => {
    const folder = temporaryFolder({
      'child.yaml': 'extends: base.yaml\ndevice: { capacity: 1KiB }\n',
      'base.yaml': BASE,
    });
    const { issues } = await checkProfile(join(folder, 'child.yaml'));
    expect(issues).toEqual([expect.objectContaining({ path: 'workload.blockSize', file: join(folder, 'base.yaml') })]);
  });

  it('shows a circle of profiles', async () => {
    const files = { 'a.yaml': 'extends: b.yaml\n', 'b.yaml': 'profile: b\nextends: ./a.yaml\n' };
    const folder = temporaryFolder(files);
    const error = await caught(loadProfile(join(folder, 'a.yaml')), ProfileError);
    expect(error.code).toBe('ERR_PROFILE_EXTENDS');
    expect(error.message).toMatch(
      /b\.yaml:2:10: extends: the profiles extend each other: .*a\.yaml -> .*b\.yaml -> .*a\.yaml$/m,
    );
  });

  it('bounds the length of a chain', async () => {
    const chain = Array.from({ length: 20 }, (_, i) => [`p${i}.yaml`, `extends: p${i + 1}.yaml\n`] as const);
    const error = await caught(loadProfile(join(temporaryFolder(Object.fromEntries(chain)), 'p0.yaml')), ProfileError);
    expect(error).toMatchObject({
      code: 'ERR_PROFILE_EXTENDS',
      message: expect.stringContaining('more than 16 profiles'),
    });
  });

  it('reports a base that does not exist once, and not what it may have held', async () => {
    const folder = temporaryFolder({ 'child.yaml': 'extends: bsae.yaml\nprofile: child\n', 'base.yaml': BASE });
    const { issues } = await checkProfile(join(folder, 'child.yaml'));
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatchObject({ code: 'ERR_PROFILE_EXTENDS', line: 1, column: 10, text: 'bsae.yaml' });
    expect(issues[0]!.suggestion).toContain('base.yaml');
  });

  it('refuses a base that is no path', async () => {
    const folder = temporaryFolder({ 'child.yaml': 'extends: [base.yaml]\nprofile: child\n' });
    expect((await caught(loadProfile(join(folder, 'child.yaml')), ProfileError)).message).toContain(
      'must be the path of a profile',
    );
  });
});
