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
  ])('reads %o', (options, pool) => {
    expect(sevOptionsSchema.parse(options)).toMatchObject({ emulatedIommu: false, pool });
  });

  it.each([
    [{ pool: '100KiB' }, 'multiple of 256KiB'],
    [{ pool: '2GiB' }, 'at most 1GiB'],
    [{ pool: '1MB' }, 'must be a size'],
    [{ pool: 0 }, 'must be a multiple of 256KiB'],
    [{ pool: -4096 }, 'must be a size'],
    [{ pol: '1MiB' }, 'pol'],
  ])('refuses %o', (options, message) => {
    const result = sevOptionsSchema.safeParse(options);
    expect(result.success).toBe(false);
    expect(result.error?.issues[0]?.message).toContain(message);
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
