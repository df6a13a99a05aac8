import { CheckSkipped, DEVICE_TYPE_CHECKS, deviceTypeSubject, findCheck, runCheck } from '@virtio-platform/conformance';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BROKEN_DEVICE_TYPES } from './broken/broken-device-types.ts';

describe('the suite of device types', () => {
  it.each(BROKEN_DEVICE_TYPES.map((broken) => [broken.wrong, broken.check, broken] as const))(
    'catches a device type that %s, in "%s"',
    async (_wrong, name, { plugin, given }) => {
      const check = findCheck(DEVICE_TYPE_CHECKS, name);
      const outcome = await runCheck(check, deviceTypeSubject(plugin, given)).catch((error: unknown) => error);
      expect(outcome).toBeInstanceOf(Error);
      expect(outcome).not.toBeInstanceOf(CheckSkipped);
      expect((outcome as Error).message).toMatch(/\n\ncontract: .+\nwhat to do: .+/);
    },
  );

  it('has a broken device type for each of its checks', () => {
    const caught = new Set(BROKEN_DEVICE_TYPES.map(({ check }) => check));
    expect(DEVICE_TYPE_CHECKS.map(({ name }) => name).filter((name) => !caught.has(name))).toEqual([]);
  });

  it('has its duties and checks in the page of the package', () => {
    const page = readFileSync(new URL('../../packages/conformance/README.md', import.meta.url), 'utf8');
    const rows = DEVICE_TYPE_CHECKS.map(({ duty, name }) => `| ${duty} | ${name} |`);
    expect(rows.filter((row) => !page.includes(row))).toEqual([]);
  });
});
