import { describe, expect, it } from 'vitest';
import { amdIommuOptionsSchema } from '../src/index.ts';

describe('the options of amd-iommu', () => {
  it('default to a translated domain of three levels', () => {
    expect(amdIommuOptionsSchema.parse({})).toEqual({
      domain: 'translated',
      levels: 3,
      aperture: 2 ** 30,
      largePages: true,
      onLostInvalidation: 'keep',
      confinesEveryDevice: false,
      failures: { invalidation: {} },
      unit: { levels: 6, cachesAbsence: false, invalidatesAll: true, eventLog: true },
    });
  });

  it.each([
    [{ domain: 'bypass' }, 'domain'],
    [{ levels: 0 }, 'levels'],
    [{ levels: 7 }, 'levels'],
    [{ aperture: '4KiB' }, 'aperture'],
    [{ aperture: '4GiB' }, 'aperture'],
    [{ unit: { levels: 3 } }, 'unit.levels'],
    [{ failures: { invalidation: { every: 0 } } }, 'failures.invalidation.every'],
    [{ mode: 3 }, ''],
  ])('refuse %j', (options, path) => {
    const { error } = amdIommuOptionsSchema.safeParse(options);
    expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });
});
