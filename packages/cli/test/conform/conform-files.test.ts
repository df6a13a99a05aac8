import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaseReport, ConformReport } from '@virtio-platform/conform';
import { afterAll, expect, it } from 'vitest';
import { ConformFiles } from '../../src/conform/conform-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

function caseOf(id: string, verdict: CaseReport['verdict'], rest: Partial<CaseReport> = {}): CaseReport {
  return {
    id,
    clause: '2.6',
    level: 'MUST',
    title: 'serves a ring',
    verdict,
    seen: '',
    severity: 'none',
    ring: [],
    known: null,
    durationMs: 1500,
    ...rest,
  };
}

const REPORT: ConformReport = {
  device: {
    type: 'block',
    machine: 'vhost-user',
    backEnd: 'my <back> 1',
    offered: ['SEG_MAX'],
    queues: 1,
    maxQueueSize: 8,
  },
  cases: [
    caseOf('ring/one', 'pass'),
    caseOf('ring/two', 'fail', { seen: 'length 3 & <more>', ring: ['split ring of 8'], known: 'a "reason"' }),
    caseOf('vhost-user/three', 'gone', { clause: 'vhost-user: Header', seen: 'SIGSEGV', severity: 'crash' }),
    caseOf('vhost-user/four', 'skip', { seen: 'not offered' }),
  ],
  coverage: [{ clause: '2.6', level: 'MUST', requires: 'rings', passed: 1, failed: 1, skipped: 0, state: 'tried' }],
};
const OPTIONS = { startedAt: new Date(0), command: 'virtio-platform conform -- be {socket}', toolVersion: '1.2.3' };

it('writes JUnit XML and a page, with the command that runs a case that failed', () => {
  new ConformFiles(folder, { junit: 'a/junit.xml', html: 'page.html' }).write(REPORT, OPTIONS);
  expect(readFileSync(join(folder, 'a/junit.xml'), 'utf8')).toMatchInlineSnapshot(`
    "<?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="virtio-platform conform: block in vhost-user" tests="4" failures="1" errors="1" skipped="1" time="6.000">
      <testsuite name="ring" timestamp="1970-01-01T00:00:00" tests="2" failures="1" errors="0" skipped="0" time="3.000">
        <testcase classname="block in vhost-user" name="ring/one" time="1.500"/>
        <testcase classname="block in vhost-user" name="ring/two" time="1.500">
          <failure message="length 3 &amp; &lt;more&gt;" type="fail">MUST: serves a ring (virtio 1.4 §2.6)
    seen: length 3 &amp; &lt;more&gt;
    known: a &quot;reason&quot;
    split ring of 8
    again: virtio-platform conform --filter ring/two -- be {socket}</failure>
        </testcase>
      </testsuite>
      <testsuite name="vhost-user" timestamp="1970-01-01T00:00:00" tests="2" failures="0" errors="1" skipped="1" time="3.000">
        <testcase classname="block in vhost-user" name="vhost-user/three" time="1.500">
          <error message="SIGSEGV" type="gone">MUST: serves a ring (vhost-user: Header)
    seen: SIGSEGV
    severity: a front-end ends the device
    again: virtio-platform conform --filter vhost-user/three -- be {socket}</error>
        </testcase>
        <testcase classname="block in vhost-user" name="vhost-user/four" time="1.500">
          <skipped message="not offered"/>
        </testcase>
      </testsuite>
    </testsuites>
    "
  `);
  const page = readFileSync(join(folder, 'page.html'), 'utf8');
  expect(page).toContain('2 of 4 cases failed');
  expect(page).toContain('length 3 &amp; &lt;more&gt;');
  expect(page).toContain('a front-end ends the device');
  expect(page).toContain('1 queue of up to 8 entries');
  // A page makes the first letter of advice a capital one: not that of a command, nor of what names a field.
  expect(page).toContain('<p class="again"><code>virtio-platform conform --filter ring/two -- be {socket}</code></p>');
  expect(page).toContain('<p class="what literal">length 3');
  expect(page).not.toContain('my <back>');
  expect(page).not.toContain('<script');
});

it('refuses a file that cannot be there, and leaves none open', () => {
  expect(() => new ConformFiles(folder, { junit: 'x.xml', html: 'page.html/y' })).toThrow(
    /page.html\/y cannot be written/,
  );
});
