import { fixture } from './temporary-folder.ts';

/** Sections of a profile as YAML, one line each, so that a test can say which line it expects an issue in. */
export interface ProfileLines {
  readonly platform?: string;
  readonly machine?: string;
  readonly device?: string;
  readonly driver?: string;
  readonly queue?: string;
  readonly workload?: string;
  readonly expect?: string;
}

/**
 * A profile that is right, over the fixture plugins, but for the sections a test replaces. Lines: profile 1, platform
 * 2, ...
 */
export function profileText(lines: ProfileLines = {}): string {
  const {
    platform = `{ use: ${fixture('tiny-platform')} }`,
    machine = `{ use: ${fixture('tiny-machine')}, memory: 1MiB }`,
    device = '{ type: block }',
    driver = '{ privilege: kernel }',
    queue = '{ layout: split, size: 256 }',
    workload = '{ kind: write-read-verify, requests: 20, depth: 4, blockSize: 4KiB, seed: 7 }',
    expect = '{ faults: 0 }',
  } = lines;
  const sections = { platform, machine, device, driver, queue, workload, expect };
  return ['profile: test', ...Object.entries(sections).map(([name, text]) => `${name}: ${text}`), ''].join('\n');
}
