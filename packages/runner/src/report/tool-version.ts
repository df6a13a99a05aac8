import { readFileSync } from 'node:fs';

/** The version of this package, and of every other package of virtio-platform; `unknown` in a bundle of one's own. */
export const TOOL_VERSION: string = readVersion();

function readVersion(): string {
  try {
    const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    const isOurs = typeof manifest === 'object' && manifest !== null && 'name' in manifest && 'version' in manifest;
    return isOurs && manifest.name === '@virtio-platform/runner' ? String(manifest.version) : 'unknown';
  } catch {
    return 'unknown';
  }
}
