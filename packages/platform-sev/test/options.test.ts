import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { sevOptionsSchema } from '@virtio-platform/platform-sev';

describe('sevOptionsSchema', () => {
  it.each([
    [{}, 2 ** 20],
    [{ pool: 524288 }, 512 * 1024],
    [{ pool: '256KiB' }, 256 * 1024],
    [{ pool: '64MiB' }, 64 * 2 ** 20],
    [{ pool: '1GiB' }, 2 ** 30],
    [{ pool: '64GiB' }, 2 ** 36],
  ])('reads %o', (options, pool) => {
    expect(sevOptionsSchema.parse(options)).toMatchObject({ emulatedIommu: false, pool });
  });

  it.each([
    [{ pool: '100KiB' }, 'multiple of 256KiB'],
    [{ pool: '65GiB' }, 'at most 64GiB'],
    [{ pool: '1MiB', poolLimit: '512KiB' }, 'at least as large as platform.pool'],
    [{ poolLimit: '1000KiB' }, 'multiple of 256KiB'],
    [{ technology: 'restricted-pool', poolLimit: '2MiB' }, 'does not grow'],
    [{ technology: 'restricted-pool', coherentPool: '64KiB' }, 'in the restricted pool itself'],
    [{ coherentPool: '1000B' }, 'multiple of 4KiB'],
    [{ halvePool: 'yes' }, 'boolean'],
    [{ pool: '1MB' }, 'must be a size'],
    [{ pool: 0 }, 'must be a multiple of 256KiB'],
    [{ pool: -4096 }, 'must be a size'],
    [{ pol: '1MiB' }, 'pol'],
  ])('refuses %o', (options, message) => {
    const result = sevOptionsSchema.safeParse(options);
    expect(result.success).toBe(false);
    expect(result.error?.issues[0]?.message).toContain(message);
  });

  it('has a pool that does not grow where nothing says so', () => {
    expect(sevOptionsSchema.parse({ pool: '2MiB' })).toMatchObject({ poolLimit: 2 ** 21, halvePool: false });
    expect(sevOptionsSchema.parse({ pool: '2MiB' }).coherentPool).toBeUndefined();
    expect(sevOptionsSchema.parse({ poolLimit: '3MiB', coherentPool: '64KiB' })).toMatchObject({
      pool: 2 ** 20,
      poolLimit: 3 * 2 ** 20,
      coherentPool: 2 ** 16,
    });
  });

  it('is described for editors', () => {
    const schema = z.toJSONSchema(sevOptionsSchema, { target: 'draft-7', io: 'input', unrepresentable: 'any' });
    expect(schema).toMatchObject({
      type: 'object',
      additionalProperties: false,
      properties: {
        pool: {
          default: '1MiB',
          description: expect.stringContaining('256KiB'),
          anyOf: [
            { type: 'integer', minimum: 1 },
            { type: 'string', pattern: expect.any(String) },
          ],
        },
      },
    });
  });
});
