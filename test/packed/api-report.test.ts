import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { apiReport, apiReportPath } from './api-report.ts';
import { publicPackages } from './public-packages.ts';

const HOW = 'a change of the API: if it is meant, `npm run api-report`, and a changeset that says what breaks';

describe('what a package exports', () => {
  it.each(publicPackages())('is what its report says: $manifest.name', (published) => {
    const path = apiReportPath(published.folder);
    const known = existsSync(path) ? readFileSync(path, 'utf8') : '';
    expect(apiReport(published), HOW).toBe(known);
  });

  it('is reported for every entry, with each parameter', () => {
    const core = publicPackages().find(({ folder }) => folder === 'core')!;
    const report = apiReport(core);
    expect(report).toContain('@virtio-platform/core/queue\n');
    expect(report).toContain('constructor(code: ErrorCode, message: string, options?:');
    expect(report).toContain('openMapping(path: DmaPath, request: MappingRequest): DmaMapping;');
  });
});
