import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { vfioOptionsSchema } from '@virtio-platform/platform-vfio';

describe('vfioOptionsSchema', () => {
  it('has defaults', () => {
    expect(vfioOptionsSchema.parse({})).toEqual({
      interruptRemapping: true,
      memoryLockLimit: 8 * 2 ** 20,
      entryLimit: 65535,
      addressWidth: 39,
    });
  });

  it.each([0, 0x1_0000_0000, 0x1_0000_0000n])('starts at %s', (iovaStart) => {
    expect(vfioOptionsSchema.parse({ iovaStart }).iovaStart).toBe(Number(iovaStart));
  });

  it.each([
    [{ iovaStart: 100 }, 'multiple of 0x1000'],
    [{ iovaStart: -4096 }, 'multiple of 0x1000'],
    [{ iovaStart: 2n ** 60n }, 'below 2^48'],
    [{ memoryLockLimit: '8MB' }, 'a size is'],
    [{ entryLimit: 0 }, '>=1'],
    [{ entryLimit: 65536 }, '<=65535'],
    [{ addressWidth: 40 }, '39|48'],
    [{ iova: 0 }, 'iova'],
  ])('refuses %o', (options, message) => {
    const result = vfioOptionsSchema.safeParse(options);
    expect(result.error?.issues[0]?.message).toContain(message);
  });

  it('is described for editors', () => {
    const schema = z.toJSONSchema(vfioOptionsSchema, { target: 'draft-7', io: 'input', unrepresentable: 'any' });
    expect(schema).toMatchObject({
      type: 'object',
      additionalProperties: false,
      properties: {
        iovaStart: { anyOf: [{ type: 'integer', multipleOf: 4096 }], description: expect.any(String) },
        memoryLockLimit: { default: '8MiB', description: expect.any(String) },
        entryLimit: { type: 'integer', default: 65535, description: expect.any(String) },
        addressWidth: { enum: [39, 48], default: 39, description: expect.any(String) },
      },
    });
    expect(schema).not.toHaveProperty('required');
  });
});
