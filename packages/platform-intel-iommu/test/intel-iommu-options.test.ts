import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema } from '../src/index.ts';

function issuesOf(options: unknown): { path: string; message: string }[] {
  const result = intelIommuOptionsSchema.safeParse(options);
  return (result.error?.issues ?? []).map(({ path, message }) => ({ path: path.join('.'), message }));
}

describe('the options of intel-iommu', () => {
  it('default to a translated domain of three levels', () => {
    expect(intelIommuOptionsSchema.parse({})).toEqual({
      domain: 'translated',
      mode: 'legacy',
      addressWidth: 39,
      invalidation: 'registers',
      interruptRemapping: false,
      aperture: 2 ** 30,
      largePages: true,
      onLostInvalidation: 'keep',
      confinesEveryDevice: false,
      failures: { invalidation: {}, timeout: {} },
      unit: {
        addressWidth: 48,
        passThrough: true,
        cachingMode: false,
        queuedInvalidation: true,
        interruptRemapping: false,
        scalableMode: false,
        faultRecords: 1,
      },
    });
  });

  it.each(['4KiB', '4GiB', '10000', 8193])('refuse %s as an aperture', (aperture) => {
    expect(issuesOf({ aperture })).toEqual([{ path: 'aperture', message: expect.any(String) }]);
  });

  it.each([
    [{ domain: 'linear' }, 'domain'],
    [{ addressWidth: 64 }, 'addressWidth'],
    [{ invalidation: 'queue' }, 'invalidation'],
    [{ mode: 'scalable' }, 'mode'],
    [{ interruptRemapping: true }, 'interruptRemapping'],
    [{ unit: { interruptRemapping: true, queuedInvalidation: false } }, 'unit.interruptRemapping'],
    [{ failures: { timeout: { every: 2 } } }, 'failures.timeout'],
    [{ onLostInvalidation: 'ignore' }, 'onLostInvalidation'],
    [{ unit: { faultRecords: 9 } }, 'unit.faultRecords'],
    [{ failures: { invalidation: { every: 0 } } }, 'failures.invalidation.every'],
    [{ failures: { translation: {} } }, 'failures'],
    [{ strict: true }, ''],
  ])('refuse %j at the offending key', (options, path) => {
    expect(issuesOf(options).map((issue) => issue.path)).toEqual([path]);
  });
});
