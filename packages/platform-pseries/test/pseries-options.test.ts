import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { H_HARDWARE, H_NOT_ENOUGH_RESOURCES, pseriesOptionsSchema } from '../src/index.ts';

function issuesOf(options: unknown): { path: string; message: string }[] {
  const result = pseriesOptionsSchema.safeParse(options);
  return (result.error?.issues ?? []).map(({ path, message }) => ({ path: path.join('.'), message }));
}

describe('the options of pseries', () => {
  it('default to a linear 64-bit window of 64 KiB pages', () => {
    expect(pseriesOptionsSchema.parse({})).toEqual({
      window: { kind: 'ddw', mapping: 'linear', pageSize: 65536 },
      guestEndian: 'little',
      secure: false,
      pool: 2 ** 20,
      onHypercallError: 'fail',
      multiTce: true,
      defaultWindowSize: 2 ** 30,
      defaultWindowAddress: 0n,
      dynamicWindowAddress: 2n ** 59n,
      pageSizes: [2 ** 12, 2 ** 16, 2 ** 21, 2 ** 24],
      hypervisor: 'qemu',
      dynamicWindows: 'beside',
      failures: { hypercall: { result: H_HARDWARE }, window: {}, share: {}, invalidation: {} },
    });
  });

  it('default to dynamic mapping in 4 KiB pages for the default window', () => {
    const { window } = pseriesOptionsSchema.parse({ window: { kind: 'default' } });
    expect(window).toEqual({ kind: 'default', mapping: 'dynamic', pageSize: 4096 });
  });

  it.each([
    ['4KiB', 4096],
    ['64KiB', 65536],
    ['2MiB', 2 ** 21],
    ['16MiB', 2 ** 24],
    [65536, 65536],
  ])('take %s as a page size', (pageSize, bytes) => {
    expect(pseriesOptionsSchema.parse({ window: { pageSize } }).window.pageSize).toBe(bytes);
  });

  it.each([
    [{ kind: 'default', mapping: 'linear' }, 'window.mapping', /use dynamic or identity, or kind: ddw/],
    [{ kind: 'ddw', mapping: 'identity' }, 'window.mapping', /use linear or dynamic, or kind: default/],
    [{ kind: 'default', pageSize: '64KiB' }, 'window.pageSize', /always 4KiB/],
    [{ pageSize: '8KiB' }, 'window.pageSize', /4KiB, 64KiB, 2MiB, 16MiB, not 8KiB/],
    [{ pageSize: '64KB' }, 'window.pageSize', /a whole number with one of the units/],
    [{ pageSize: 4096.5 }, 'window.pageSize', /must be a size/],
    [{ pageSize: true }, 'window.pageSize', /must be a size/],
  ])('refuse the window %j at the offending key', (window, path, message) => {
    expect(issuesOf({ window })).toEqual([{ path, message: expect.stringMatching(message) }]);
  });

  it('name both keys of a window that is wrong twice', () => {
    const issues = issuesOf({ window: { kind: 'default', mapping: 'linear', pageSize: '16MiB' } });
    expect(issues.map(({ path }) => path)).toEqual(['window.mapping', 'window.pageSize']);
  });

  it('refuse unknown keys, and a default window that 32 bits cannot address', () => {
    expect(issuesOf({ windows: {} })[0]?.message).toContain('windows');
    expect(issuesOf({ defaultWindowSize: '8GiB' })).toEqual([
      { path: 'defaultWindowSize', message: 'must be a multiple of 4KiB, at least 8KiB, at most 4GiB' },
    ]);
  });

  it('name the code that a hypercall is refused with', () => {
    const { failures } = pseriesOptionsSchema.parse({
      secure: true,
      failures: { hypercall: { every: 50, result: 'H_NOT_ENOUGH_RESOURCES' }, share: { nth: [1] } },
    });
    expect(failures.hypercall).toEqual({ every: 50, result: H_NOT_ENOUGH_RESOURCES });
    expect(failures.share).toEqual({ nth: [1] });
  });

  it.each([
    [{ hypercall: { result: 'H_SUCCESS' } }, 'failures.hypercall.result'],
    [{ hypercall: { every: 0 } }, 'failures.hypercall.every'],
    [{ window: { result: 'H_HARDWARE' } }, 'failures.window'],
    [{ share: { rate: 2 } }, 'failures.share.rate'],
    [{ invalidation: { nth: [0] } }, 'failures.invalidation.nth.0'],
  ])('refuse the failures %j at the offending key', (failures, path) => {
    expect(issuesOf({ secure: true, failures }).map((issue) => issue.path)).toEqual([path]);
  });

  it('are all described for editors', () => {
    const schema = z.toJSONSchema(pseriesOptionsSchema, { target: 'draft-7', io: 'input', unrepresentable: 'any' });
    const size = [
      { type: 'integer', minimum: expect.any(Number) },
      { type: 'string', pattern: expect.any(String) },
    ];
    const description = expect.stringMatching(/\.$/);
    expect(schema).toMatchObject({
      additionalProperties: false,
      properties: {
        window: {
          description,
          additionalProperties: false,
          properties: {
            kind: { description, enum: ['default', 'ddw'] },
            mapping: { description, enum: ['identity', 'dynamic', 'linear'] },
            pageSize: { description, anyOf: size },
          },
        },
        guestEndian: { description, enum: ['little', 'big'] },
        secure: { description, type: 'boolean', default: false },
        pool: { description, anyOf: size },
        defaultWindowSize: { description, anyOf: size },
        onHypercallError: { description, enum: ['fail', 'linux'] },
        hypervisor: { description, enum: ['qemu', 'kvm'] },
        dynamicWindows: { description, enum: ['beside', 'replace', 'none'] },
        failures: {
          description,
          properties: {
            hypercall: { description, properties: { every: { description, type: 'integer' } } },
            window: { description },
            share: { description },
            invalidation: { description },
          },
        },
      },
    });
    expect(schema).not.toHaveProperty('required');
  });
});
