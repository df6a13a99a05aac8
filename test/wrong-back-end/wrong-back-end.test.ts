import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, reportsOf } from '../command/command.ts';

const SOURCE = fileURLToPath(new URL('wrong-back-end.c', import.meta.url));
const NEEDS = 'needs gcc libc6-dev';

/** CI installs a compiler and must not skip these tests. */
const canCompile = ((): boolean => {
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return process.env['CI'] !== undefined;
  }
})();

const REQUEST_40 = String.raw`\(request 40, queue 0, buffer 39, address 0x[0-9a-f]+, device address 0x[0-9a-f]+\)`;
const READ = String.raw`\(request 1\d\d\d, queue 0, buffer \d+, address 0x[0-9a-f]+, device address 0x[0-9a-f]+\)`;

/** What the terminal says of each bug, in its first five lines: for both layouts, or for split and for packed. */
const BUGS: readonly (readonly [bug: string, split: RegExp, packed?: RegExp])[] = [
  [
    'never-notifies',
    /used buffers and sent no notification: \d+ of \d+ missed; the first on queue 0 after \d+ requests/,
  ],
  ['loses-a-notification', /sent no notification: \d+ of \d+ missed; the first on queue 0 after \d+ requests/],
  ['event-off-by-one', /sent no notification: \d+ of \d+ missed; the first on queue 0 after \d+ requests/],
  ['suppresses-kicks', /the device suppresses available buffer notifications of queue 0 by/],
  [
    'never-starts',
    /notified of queue 0 and used no buffer of it[^]*the program of the device runs, and printed nothing/,
  ],
  ['never-completes-one', /the device used buffers that came after buffer 39 of queue 0, and not that one/],
  ['completes-twice', /used-index-out-of-range: queue 0: used.idx \d+ after/, /queue 0: used id 39 is not outstanding/],
  ['skips-an-index', /queue 0: used.idx \d+ after \d+/, /marked slot 40 used, and not slot 39 of queue 0/],
  ['index-jumps', /queue 0: used.idx \d+ after \d+/, /marked slot 45 used, and not slot 40 of queue 0/],
  ['index-goes-back', /queue 0: used.idx \d+ after \d+/, /marked slot 39 of queue 0 used with the wrong wrap counter/],
  ['id-out-of-range', /used-id-out-of-range: queue 0: used id 67 in a queue of 64/],
  ['id-not-outstanding', /used-id-not-outstanding: queue 0: used id 7 is not outstanding/],
  [
    'used-length-zero',
    new RegExp(`write of sector 312: used length 0 with status OK does not cover .* ${REQUEST_40}; 20 of this kind`),
  ],
  [
    'used-length-short',
    new RegExp(`used length 0 with status OK does not cover data and status, 1 in all.* ${REQUEST_40}`),
  ],
  ['used-length-too-large', /used-length-too-large: queue 0: 2 bytes written to buffer 39, which has 1 writable/],
  ['flips-a-bit', new RegExp(`read of sector 7680: byte 777 is 0x1d instead of 0xd: no other .* ${READ}; 10 of`)],
  [
    'reads-zeros',
    new RegExp(`read of sector 7680: byte 0 is 0x0 instead of 0x86: every byte from 0 on is 0.* ${READ}`),
  ],
  ['reads-short', new RegExp(`byte 3996 is 0x0 instead of 0x52: every byte from 3996 on is 0.* ${READ}`)],
  ['swaps-bytes', new RegExp(`read of sector 7680: byte 0 is 0x27 instead of 0x86, status OK, .* ${READ}`)],
  ['loses-a-write', new RegExp(`read of sector \\d+: byte 0 is 0x0 instead of 0x.*as if never written.* ${READ}`)],
  ['tears-a-write', new RegExp(`read of sector \\d+: byte 512 is 0x0 instead of 0x.*as if never written.* ${READ}`)],
  ['wrong-sector', new RegExp(`read of sector 7680: byte 0 is .*: that is the data of sector 7681.* ${READ}`)],
  ['reports-io-error', new RegExp(`write of sector 312: the device answered status 1 .*IOERR.* ${REQUEST_40}`)],
  ['reports-unsupported', new RegExp(`write of sector 312: the device answered status 2 .*UNSUPP.* ${REQUEST_40}`)],
  ['invents-a-status', new RegExp(`write of sector 312: the device answered status 77, .* ${REQUEST_40}`)],
  ['forgets-the-status', new RegExp(`write of sector 312: .*left the status byte unwritten.* ${REQUEST_40}`)],
  ['crashes', /the vhost-user back-end is gone[^]*the program of the device ended with SIGABRT/],
  ['exits', /the vhost-user back-end is gone: .*it printed last: disk failure, giving up/],
  ['exits-when-stopped', /the vhost-user back-end is gone: GET_VRING_BASE: it closed the connection/],
  ['hangs-when-stopped', /the vhost-user back-end is gone: GET_VRING_BASE: no answer in 500 ms/],
  ['answers-another-request', /GET_CONFIG: it answered with request 17, flags 5 and \d+ bytes/],
  ['config-too-short', /the back-end does not have \d+ bytes of configuration/],
  ['closes-instead-of-answering', /GET_CONFIG: it closed the connection/],
  ['never-answers', /GET_CONFIG: no answer in 500 ms/],
  ['refuses-the-memory-table', /the vhost-user back-end answers 1 to SET_MEM_TABLE/],
  ['capacity-zero', /the device has 0 bytes, less than one block of the workload/],
  ['no-version-1', /refused by modern-needs-version-1: .* does not offer VERSION_1/],
  ['exits-at-once', /ended with status 1 before it listened; it printed: cannot open the disk: permission denied/],
];

/** Bugs of notifications, and what has none: they show where the driver waits. */
const WAITING = new Set(['none', 'notifies-always', 'never-notifies', 'loses-a-notification', 'event-off-by-one']);

describe.skipIf(!canCompile)(`a vhost-user back-end with one bug (${NEEDS})`, () => {
  let folder: string;
  let program: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'virtio-platform-wrong-'));
    program = join(folder, 'wrong-back-end');
    execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', SOURCE, '-o', program]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A profile whose back-end has this bug. With one request at a time the driver waits for each used buffer. */
  function profileOf(bug: string, layout: string, driver = ''): string {
    const path = join(folder, `${bug}-${layout}.yaml`);
    const depth = WAITING.has(bug) ? 1 : 16;
    writeFileSync(
      path,
      `profile: wrong
platform: { use: "@virtio-platform/platform-legacy" }
machine:
  use: "@virtio-platform/machine-vhost-user"
  memory: 16MiB
  replyTimeout: 500
  command: [${program}, "{socket}", ${bug}${layout === 'packed' ? ', packed' : ''}]
device: { type: block }
driver: { timeout: 500ms${driver} }
queue: { layout: ${layout}, size: 64 }
workload: { kind: write-read-verify, requests: 2000, depth: ${depth}, blockSize: 4096, seed: 7 }
`,
    );
    return path;
  }

  it.each(['split', 'packed'])(
    'T2 verifies with %s rings where it has none, whether it notifies too often or not',
    async (layout) => {
      for (const bug of ['none', 'notifies-always']) {
        const result = await commandHere(['run', profileOf(bug, layout), '--json']);
        expect(result.status).toBe(0);
        const [report] = reportsOf(result);
        expect(report).toMatchObject({
          outcome: 'completed',
          workload: { verified: true, errors: 0, mismatches: { counts: {}, first: [] } },
          notifications: { used: { missed: 0 } },
          dma: { live: 0 },
        });
        const { available, used } = report!.notifications!;
        expect(available.sent).toBe(available.wanted);
        expect(used.received).toBeGreaterThan(0);
        expect(used.wanted).toBeGreaterThan(0);
      }
    },
  );

  it.each(['split', 'packed'])('notices a disk that is resized, with %s rings', async (layout) => {
    const [report] = reportsOf(await commandHere(['run', profileOf('resizes', layout), '--json']));
    expect(report).toMatchObject({
      outcome: 'completed',
      workload: { verified: true },
      configuration: { changes: 1, seen: ['capacity 16MiB to 24MiB'] },
    });
  });

  it.each([
    ['used-length-too-large', 'clamp'],
    ['used-length-too-large', 'ignore'],
    ['used-length-zero', 'ignore'],
  ])('I8 verifies %s where the profile has used lengths treated so: %s', async (bug, policy) => {
    for (const layout of ['split', 'packed']) {
      const result = await commandHere(['run', profileOf(bug, layout, `, usedLength: ${policy}`), '--json']);
      expect(reportsOf(result)).toMatchObject([{ outcome: 'completed', workload: { verified: true, errors: 0 } }]);
      expect(result.status).toBe(0);
    }
  });

  describe.each(['split', 'packed'])('%s', (layout) => {
    it.each(BUGS.map(([bug, split, packed]) => ({ bug, line: layout === 'split' ? split : (packed ?? split) })))(
      'T1 to T5 say what is wrong and where: $bug',
      async ({ bug, line }) => {
        const { stdout, status } = await commandHere(['run', profileOf(bug, layout)]);
        expect(status).toBe(1);
        const lines = stdout.split('\n');
        const start = lines.findIndex((line) => line === 'wrong') + 1;
        expect(lines.slice(start, start + 5).join('\n')).toMatch(line);
      },
    );
  });
});
