import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { loadProfiles } from '../src/load-profile.ts';
import { ProfileError } from '../src/source/profile-issue.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});

const HEAD = `profile: renamed
platform: { use: ./platform.ts }
machine: { use: ./machine.ts, memory: 1MiB }
device: { type: block, offers: [VERSION_1, SUSPEND] }
`;
const WORKLOAD = 'kind: write-read-verify, requests: 8, depth: 2, blockSize: 512';

function save(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('a profile key with a new name', () => {
  it('works under its old name, with one warning that names place and new key', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const path = save(
      'old.yaml',
      `${HEAD}workload: { ${WORKLOAD}, interruptions: [{ after: 4, do: suspend }] }\nfailures: { withhold: { nth: [3] } }
matrix: { queue.size: [16, 32] }\n`,
    );
    const profiles = await loadProfiles(path);
    expect(profiles.map(({ workload }) => workload.disruptions)).toEqual([
      [{ after: 4, do: 'suspend' }],
      [{ after: 4, do: 'suspend' }],
    ]);
    expect(profiles[0]!.failures.wrongAddress).toEqual({ nth: [3] });
    expect(warn.mock.calls.map(([text]) => String(text).replace(/^.*old\.yaml/, 'old.yaml'))).toEqual([
      'old.yaml:5:77: warning: workload.interruptions is now workload.disruptions; the old name works until 0.3',
      'old.yaml:6:13: warning: failures.withhold is now failures.wrongAddress; the old name works until 0.3',
    ]);
  });

  it('cannot be given under both names', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const path = save('both.yaml', `${HEAD}workload: { ${WORKLOAD}, interruptions: [], disruptions: [] }\n`);
    const error: unknown = await loadProfiles(path).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ProfileError);
    expect((error as ProfileError).issues).toContainEqual(
      expect.objectContaining({ line: 5, column: 77, path: 'workload.interruptions' }),
    );
  });
});
