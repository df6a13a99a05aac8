import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, reportsOf } from '../command/command.ts';
import { canCompile, NEEDS, WrongBackEnd } from './wrong-run.ts';

const REQUEST_40 = String.raw`write of sector 312: .*\n *where   request 40, queue 0, buffer 39, (used )?slot 39 `;

/** What the terminal says of each bug, in its first five lines: for both layouts, or for split and for packed. */
const BUGS: readonly (readonly [bug: string, line: RegExp])[] = [
  ['loses-a-notification', /the device used buffer \d+ of queue 0 and sent no notification/],
  [
    'used-length-short',
    new RegExp(`${REQUEST_40}[^]*used length 0 with status OK does not cover data and status, 1 in`),
  ],
  ['reads-zeros', /read of sector 7680: every byte from 0 on is 0/],
  ['reads-short', /read of sector 7680: every byte from 3996 on is 0/],
  ['swaps-bytes', /read of sector 7680: byte 0 is 0x27 instead of 0x86/],
  ['tears-a-write', /read of sector \d+: every byte from 512 on is 0, as if never written/],
  ['reports-unsupported', new RegExp(`the device answered status 2 .*UNSUPP`)],
  ['invents-a-status', new RegExp(`the device answered status 77, which is none of OK 0`)],
  ['exits', /the vhost-user back-end is gone: .*it printed last: disk failure, giving up/],
  ['exits-when-stopped', /the vhost-user back-end is gone: GET_VRING_BASE: it closed the connection/],
  ['hangs-when-stopped', /the vhost-user back-end is gone: GET_VRING_BASE: no answer in 500 ms/],
  ['answers-another-request', /GET_CONFIG: it answered with request 17, flags 5 and \d+ bytes/],
  ['config-too-short', /the back-end does not have \d+ bytes of configuration/],
  ['closes-instead-of-answering', /GET_CONFIG: it closed the connection/],
  ['never-answers', /GET_CONFIG: no answer in 500 ms/],
  ['refuses-the-memory-table', /the vhost-user back-end answers 1 to SET_MEM_TABLE/],
  ['capacity-zero', /the device has 0 bytes, less than one block of the workload/],
  ['no-version-1', /refused EINVAL by modern-needs-version-1: .* does not offer VERSION_1/],
  ['exits-at-once', /ended with status 1 before it listened; it printed: cannot open the disk: permission denied/],
];

/** Bugs of notifications, what has none, and a changed configuration: they show where the driver waits. */
const WAITING = new Set(['none', 'notifies-always', 'loses-a-notification', 'resizes']);

describe.skipIf(!canCompile)(`a vhost-user back-end with one bug (${NEEDS})`, () => {
  let backEnd: WrongBackEnd;
  beforeAll(() => (backEnd = new WrongBackEnd()));
  afterAll(() => backEnd[Symbol.dispose]());

  /** A profile whose back-end has this bug. With one request at a time the driver waits for each used buffer. */
  function profileOf(bug: string, layout: string, driver?: string): string {
    const options = layout === 'packed' ? ['packed'] : [];
    const depth = WAITING.has(bug) ? 1 : 16;
    return backEnd.profile({ bug, options, depth, requests: 2000, ...(driver !== undefined && { driver }) });
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
      const result = await commandHere(['run', profileOf(bug, layout, `usedLength: ${policy}`), '--json']);
      expect(reportsOf(result)).toMatchObject([{ outcome: 'completed', workload: { verified: true, errors: 0 } }]);
      expect(result.status).toBe(0);
    }
  });

  describe.each(['split', 'packed'])('%s', (layout) => {
    it.each(BUGS.map(([bug, line]) => ({ bug, line })))(
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
