import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { NODE_RELEASES, nodeOf } from '../large-guests/large-node.ts';
import { succeed } from './program.ts';

const command = join(inject('project'), 'node_modules/@virtio-platform/cli/bin/virtio-platform.js');

/** Without most of those that try device types, which no release of Node changes. */
const FILTER = '/^(?!scsi-changes|.*-mixed|block-(?!4k)|console|entropy|net|balloon)/';

/** `installed.test.ts` runs the same on the release of these tests. */
const others = NODE_RELEASES.filter((release) => release !== process.versions.node.split('.', 1)[0]);

describe('the installed command', () => {
  it.for(others)('runs the shipped profiles on Node %s', async (release, { skip }) => {
    const node = nodeOf(release);
    skip(node === undefined && process.env['CI'] === undefined, 'needs that release of Node: npm run fetch-node');
    const version = await succeed(node!, ['-p', 'process.versions.node'], inject('project'));
    expect(version.split('.', 1)).toEqual([release]);
    const printed = await succeed(node!, [command, 'run', '--json', '--filter', FILTER], inject('project'));
    const outcomes = (JSON.parse(printed) as { outcome: string }[]).map(({ outcome }) => outcome);
    expect(outcomes.length).toBeGreaterThan(20);
    expect(new Set(outcomes)).toEqual(new Set(['completed']));
  });
});
