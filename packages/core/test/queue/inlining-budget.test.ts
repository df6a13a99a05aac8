import { execFileSync } from 'node:child_process';
import v8 from 'node:v8';
import { raiseInliningBudget } from '@virtio-platform/core/queue';
import { afterEach, describe, expect, it, vi } from 'vitest';

afterEach(() => void vi.restoreAllMocks());

describe('the inlining budget', () => {
  it('is raised by a call, and by nothing else', async () => {
    const set = vi.spyOn(v8, 'setFlagsFromString').mockReturnValue(undefined);
    await import('@virtio-platform/core/queue');
    expect(set).not.toHaveBeenCalled();
    raiseInliningBudget();
    const flags = set.mock.calls.map(([flag]) => flag.replace(/=\d+$/, ''));
    expect(flags).toEqual([
      '--max-inlined-bytecode-size',
      '--max-inlined-bytecode-size-cumulative',
      '--max-inlined-bytecode-size-absolute',
    ]);
  });

  it('has flags that this V8 knows', () => {
    const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
    const set = vi.spyOn(v8, 'setFlagsFromString').mockReturnValue(undefined);
    raiseInliningBudget();
    for (const [flag] of set.mock.calls) expect(known).toContain(`${flag.replace(/=\d+$/, '')} (`);
  });
});
