import { describe, expect, it } from 'vitest';
import type { PluginUse } from '../../src/schema/profile.ts';
import { renameOptions } from '../../src/plugin/renamed-options.ts';

const RENAMED = { 'iotlb.tell': 'iotlb.fill', messages: 'msix' };

function use(options: Record<string, unknown>): PluginUse {
  const location = { file: 'p.yaml', line: 1, column: 1 };
  const locate = (path: readonly PropertyKey[]): typeof location => ({ ...location, line: 10 + path.length });
  return { use: 'made', location, options, locate };
}

describe('renamed options', () => {
  it('reads an old name as the new one, and warns with its place and both names', () => {
    const { options, warnings } = renameOptions(use({ iotlb: { tell: 'at-map', size: 3 }, messages: true }), RENAMED);
    expect(options).toEqual({ iotlb: { size: 3, fill: 'at-map' }, msix: true });
    expect(warnings).toEqual([
      'p.yaml:12:1: `iotlb.tell` is now `iotlb.fill`; the old name works until the next release',
      'p.yaml:11:1: `messages` is now `msix`; the old name works until the next release',
    ]);
  });

  it('finds the place of a value that was read under its old name', () => {
    const { sourcePath } = renameOptions(use({ iotlb: { tell: ['x'] } }), RENAMED);
    expect(sourcePath(['iotlb', 'fill', 0])).toEqual(['iotlb', 'tell', 0]);
    expect(sourcePath(['iotlb', 'size'])).toEqual(['iotlb', 'size']);
  });

  it('changes nothing where only new names stand, or where both do', () => {
    const both = { iotlb: { tell: 'at-map', fill: 'on-miss' } };
    expect(renameOptions(use(both), RENAMED)).toMatchObject({ options: both, warnings: [] });
    const current = { iotlb: { fill: 'on-miss' } };
    expect(renameOptions(use(current), RENAMED)).toMatchObject({ options: current, warnings: [] });
    expect(renameOptions(use(current)).options).toBe(current);
  });
});
