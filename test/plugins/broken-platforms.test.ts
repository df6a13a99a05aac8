import { readFileSync } from 'node:fs';
import {
  checkDmaMapping,
  CheckSkipped,
  describePlatformPlugin,
  DMA_ACCESS_CHECKS,
  DMA_LIMIT_CHECKS,
  DMA_MAPPING_CHECKS,
  DMA_REVOCATION_CHECKS,
  PLATFORM_PLUGIN_CHECKS,
  platformMapping,
  runCheck,
  type PlatformPluginSubject,
} from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';
import { BROKEN_PLATFORMS } from './broken/broken-platforms.ts';
import { pagedPlugin } from './broken/paged-platform.ts';

/** Runs one check by its name, of the suite of platforms or of that of mappings. */
async function check(name: string, subject: PlatformPluginSubject): Promise<void> {
  const own = PLATFORM_PLUGIN_CHECKS.find((candidate) => candidate.name === name);
  if (own !== undefined) return runCheck(own, subject);
  const ofMapping = DMA_MAPPING_CHECKS.find((candidate) => candidate.name === name);
  if (ofMapping === undefined) throw new RangeError(`no check is named "${name}"`);
  return checkDmaMapping(ofMapping, await platformMapping(subject));
}

describePlatformPlugin(pagedPlugin());

describe('the suite of platforms', () => {
  it.each(BROKEN_PLATFORMS.map((broken) => [broken.wrong, broken.check, broken] as const))(
    'catches a platform that %s, in "%s"',
    async (_wrong, name, { plugin, options = {} }) => {
      const outcome = await check(name, { plugin, options, memory: 4 * 2 ** 20 }).catch((error: unknown) => error);
      expect(outcome).toBeInstanceOf(Error);
      expect(outcome).not.toBeInstanceOf(CheckSkipped);
      expect((outcome as Error).message).toMatch(/\n\ncontract: .+\nwhat to do: .+/);
    },
  );

  it('has a broken platform for each of its checks', () => {
    const checks = [...PLATFORM_PLUGIN_CHECKS, ...DMA_LIMIT_CHECKS, ...DMA_ACCESS_CHECKS, ...DMA_REVOCATION_CHECKS];
    const caught = new Set(BROKEN_PLATFORMS.map(({ check: name }) => name));
    expect(checks.map(({ name }) => name).filter((name) => !caught.has(name))).toEqual([]);
  });

  it('has as many as the README says', () => {
    const readme = readFileSync(new URL('../../packages/conformance/README.md', import.meta.url), 'utf8');
    expect(readme).toContain(`${BROKEN_PLATFORMS.length} platforms`);
  });
});
