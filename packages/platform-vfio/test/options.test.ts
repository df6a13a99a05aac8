import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { vfioOptionsSchema } from '@virtio-platform/platform-vfio';

describe('vfioOptionsSchema', () => {
  it('has defaults', () => {
    expect(vfioOptionsSchema.parse({})).toEqual({
      interruptRemapping: true,
      container: 'type1v2',
      memoryLockLimit: 8 * 2 ** 20,
      capIpcLock: false,
      lockedByProcess: 0,
      lockedByUser: 0,
      entryLimit: 65535,
      pageSize: 4096,
      partialPages: 'widen',
      addressWidth: 39,
      defaultWindowSize: 2 ** 30,
      backingPageSize: 2 ** 16,
      unsafeNoiommuMode: false,
      capSysRawio: false,
    });
  });

  it('reads windows and reserved ranges, with sizes as profiles write them', () => {
    const { window } = vfioOptionsSchema.parse({ container: 'spapr-v2', window: { size: '2GiB' } });
    expect(window).toEqual({ pageSize: 65536, size: 2 ** 31 });
    const { otherDevices } = vfioOptionsSchema.parse({ otherDevices: [{ name: 'net0', maps: '4MiB' }] });
    expect(otherDevices).toEqual([{ name: 'net0', maps: 2 ** 22, container: 'shared', afterMappings: 0 }]);
    const { reserved } = vfioOptionsSchema.parse({ reserved: [{ start: 0x8000_0000n, size: '16MiB' }] });
    expect(reserved).toEqual([{ start: 0x8000_0000, end: 0x80ff_ffff }]);
  });

  it.each([0, 0x1_0000_0000, 0x1_0000_0000n])('starts at %s', (iovaStart) => {
    expect(vfioOptionsSchema.parse({ iovaStart }).iovaStart).toBe(Number(iovaStart));
  });

  it.each([
    [{ iovaStart: 100 }, 'multiple of 0x1000'],
    [{ iovaStart: -4096 }, 'multiple of 0x1000'],
    [{ iovaStart: 2n ** 60n }, 'below 2^48'],
    [{ memoryLockLimit: '8MB' }, 'must be a size'],
    [{ entryLimit: 0 }, '>=1'],
    [{ entryLimit: 2 ** 32 }, '<=4294967295'],
    [{ entryLimit: -1 }, '>=1'],
    [{ pageSize: '8KiB' }, '4KiB, 16KiB, 64KiB'],
    [{ hostPageSize: '2MiB' }, '4KiB, 16KiB, 64KiB'],
    [{ container: 'spapr-v2', pageSize: '64KiB' }, 'spapr-v2 has no pageSize'],
    [{ partialPages: 'bounce' }, 'widen'],
    [
      { container: 'iommufd-type1v2', pageSize: '64KiB', hostPageSize: '4KiB' },
      "attaches no device behind an IOMMU whose smallest page, 64KiB, is larger than the kernel's 4KiB (EINVAL)",
    ],
    [
      { container: 'iommufd-type1v2', afterExec: {} },
      'iommufd-type1v2 has no afterExec: leave it out, or use container type1',
    ],
    [{ container: 'iommufd-type1v2', entryLimit: 10 }, 'iommufd-type1v2 has no entryLimit'],
    [{ otherDevices: [{ name: 'net0', maps: 100 }] }, 'multiple of 4KiB'],
    [{ container: 'spapr-v2', window: { levels: 6 } }, '<=5'],
    [{ addressWidth: 40 }, '39|48'],
    [{ iova: 0 }, 'iova'],
    [{ container: 'type2' }, 'type1v2'],
    [{ reserved: [{ start: 100, size: '4KiB' }] }, 'multiple of 0x1000'],
    [{ reserved: [{ start: 0, size: 100 }] }, 'multiple of 4KiB'],
    [{ container: 'spapr-v2', window: { pageSize: '8KiB' } }, '4KiB, 64KiB, 2MiB, 16MiB'],
    [{ container: 'spapr-v2', window: { size: '3GiB' } }, 'power of two'],
    [{ container: 'spapr-v2', window: { pageSize: '16MiB', size: '1MiB' } }, 'at least one page'],
    [{ container: 'spapr-v1', defaultWindowSize: '8GiB' }, 'at least 8KiB, at most 4GiB'],
    [{ container: 'spapr-v1', window: {} }, 'spapr-v1 has no window: leave it out, or use container spapr-v2'],
    [
      { container: 'iommufd', entryLimit: 10 },
      'iommufd has no entryLimit: leave it out, or use container type1 or type1v2',
    ],
    [{ container: 'noiommu', iovaStart: 0 }, 'noiommu has no iovaStart'],
    [{ capSysRawio: true }, 'type1v2 has no capSysRawio'],
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
        container: { enum: expect.arrayContaining(['type1v2', 'iommufd']), default: 'type1v2' },
        window: { type: 'object', properties: { pageSize: { default: '64KiB' }, size: { default: '1GiB' } } },
        reserved: { type: 'array', items: { required: ['start', 'size'] } },
      },
    });
    expect(schema).not.toHaveProperty('required');
    const descriptions = Object.values(schema.properties!).map((option) => Object(option).description);
    expect(descriptions).toEqual(descriptions.map(() => expect.any(String)));
  });
});
