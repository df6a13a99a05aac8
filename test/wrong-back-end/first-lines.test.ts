import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '@virtio-platform/cli';
import { CollectedText, commandHere, ROOT } from '../command/command.ts';
import { canCompile, NEEDS, WrongBackEnd } from './wrong-run.ts';

/** A bug, how the device is and how it is driven, and the two lines that say what happened and where. */
type Case = readonly [bug: string, how: string, what: string, where: string];

/** Written `39 of queue 0`; `#` is any number, which depends on how fast the device is. */
const SPLIT: readonly Case[] = [
  [
    'completes-twice',
    '16',
    'failed the device returned buffer 39 of queue 0 twice: used slots 39 and 40',
    'write of sector 312, queue 0, buffer 39, used slot 40 (used index 40)',
  ],
  [
    'completes-twice',
    '1',
    'failed the device returned buffer 39 of queue 0 twice: used slots 39 and 40',
    'write of sector 312, queue 0, buffer 39, used slot 40 (used index 40)',
  ],
  [
    'completes-twice',
    '32 no-indirect',
    'failed the device returned buffer 53 of queue 0 twice: used slots 39 and 40',
    'write of sector 312, queue 0, buffer 53, used slot 40 (used index 40)',
  ],
  [
    'completes-twice',
    '32 in-order',
    'failed the device returned buffer 39 of queue 0 twice: used slots 39 and 40',
    'write of sector 312, queue 0, buffer 39, used slot 40 (used index 40)',
  ],
  [
    'completes-twice',
    '32 two-queues',
    'failed the device returned buffer 23 of queue 0 twice: used slots 23 and 24',
    'write of sector 368, queue 0, buffer 23, used slot 24 (used index 24)',
  ],
  [
    'skips-an-index',
    '16',
    'failed the device skipped used slot 40 of queue 0: used.idx passed, its element is unwritten',
    'queue 0, used slot 40 (used index 40): it has id 0, length 0, as the driver cleared the ring',
  ],
  [
    'skips-an-index',
    '1 no-event-idx',
    'failed the device skipped used slot 40 of queue 0',
    'queue 0, used slot 40 (used index 40)',
  ],
  [
    'overwrites-a-used-element',
    '16',
    'failed the device skipped used slot 39 of queue 0',
    'queue 0, used slot 39 (used index 39)',
  ],
  [
    'index-jumps',
    '16',
    'failed used.idx of queue 0 jumped from # to #: # further in a ring of 64',
    'queue 0, used slot # (used index #)',
  ],
  [
    'index-goes-back',
    '16',
    'failed used.idx of queue 0 went back: it is #, and the driver took # already',
    'queue 0, used slot # (used index #)',
  ],
  [
    'id-out-of-range',
    '16',
    'failed the device returned buffer 67 of queue 0, which has 64 entries',
    'queue 0, buffer 67, used slot 39 (used index 39)',
  ],
  [
    'id-not-outstanding',
    '16',
    'failed the device returned buffer 7 of queue 0, which it does not have',
    'queue 0, buffer 7, used slot 39 (used index 39)',
  ],
  [
    'used-length-too-large',
    '16',
    'failed the device says that it wrote 2 bytes to buffer 39, which has room for 1',
    'write of sector 312, queue 0, buffer 39, used slot 39',
  ],
  [
    'used-length-zero',
    '16',
    'wrong write of sector 312: used length 0, where data and status are 1',
    'request 40, queue 0, buffer 39, used slot 39 (used index 39)',
  ],
  [
    'never-completes-one',
    '16',
    'failed the device left out buffer 39 of queue 0 and returned 60 later ones',
    'write of sector 312, queue 0, buffer 39, available slot 39 (available index 39)',
  ],
  [
    'never-completes-one',
    '1',
    'failed the device returned no buffer of queue 0 after buffer 38: it has 1, buffer 39 first',
    'write of sector 312, queue 0, buffer 39, available slot 39',
  ],
  [
    'never-completes-one',
    '32 no-indirect',
    'failed the device left out buffer 53 of queue 0 and returned 60 later ones',
    'write of sector 312, queue 0, buffer 53, available slot 39',
  ],
  [
    'never-completes-one',
    '32 two-queues',
    'failed the device left out buffer 23 of queue 0 and returned # later ones',
    'write of sector 368, queue 0, buffer 23, available slot 23',
  ],
  [
    'suppresses-kicks',
    '16',
    'failed the device asked for no notification of the 16 buffers that it has in queue 0',
    'write of sector 0, queue 0, buffer 0, available slot 0',
  ],
  [
    'suppresses-kicks',
    '16 no-event-idx',
    'failed the device asked for no notification of the 16 buffers that it has in queue 0',
    'write of sector 0, queue 0, buffer 0, available slot 0',
  ],
  [
    'forgets-avail-event',
    '16',
    'failed the device asked for no notification of the # buffers that it has in queue 0',
    'write of sector #, queue 0, buffer #, available slot # (available index #)',
  ],
  [
    'never-notifies',
    '1',
    'failed the device used buffer 0 of queue 0 and sent no notification',
    'queue 0, buffer 0, used slot 0 (used index 0), after # request',
  ],
  [
    'event-off-by-one',
    '1',
    'failed the device used buffer 0 of queue 0 and sent no notification',
    'queue 0, buffer 0, used slot 0 (used index 0), after # request',
  ],
  [
    'never-notifies',
    '1 two-queues no-event-idx',
    'failed the device used buffer 0 of queue 0 and sent no notification',
    'queue 0, buffer 0, used slot 0 (used index 0), after # request',
  ],
  [
    'never-starts',
    '16',
    'failed the device was notified of queue 0 and used no buffer of it: it has 16',
    'write of sector 0, queue 0, buffer 0, available slot 0',
  ],
  [
    'hangs',
    '16',
    'failed the device returned no buffer of queue 0 after buffer 38: it has 16, buffer 39 first',
    'write of sector 312, queue 0, buffer 39, available slot 39',
  ],
  [
    'crashes',
    '16',
    'failed the vhost-user back-end is gone',
    'queue 0: the device had 16 buffers, the oldest is buffer #, a write of sector #',
  ],
  [
    'writes-beyond-the-buffer',
    '16',
    'wrong read of sector 480: the device wrote beyond the end of the data buffer',
    'request 140, queue 0, buffer 11, used slot 11 (used index 139), address 0x',
  ],
  [
    'loses-a-write',
    '16',
    'wrong read of sector 312: every byte from 0 on is 0, as if never written',
    'request 161, queue 0, buffer 32, used slot 32 (used index 160), address 0x',
  ],
  [
    'loses-a-write',
    '32 two-queues',
    'wrong read of sector 368: every byte from 0 on is 0, as if never written',
    'request #, queue #, buffer #, used slot # (used index #), address 0x',
  ],
  [
    'loses-a-write',
    '16 small-disk',
    'wrong read of sector 56: that is what round 0 wrote there, and round 1 wrote since',
    'request 57, queue 0, buffer 56, used slot 56 (used index 56)',
  ],
  [
    'wrong-sector',
    '16',
    'wrong read of sector 480: that is the data of sector 481',
    'request 140, queue 0, buffer 11, used slot 11 (used index 139)',
  ],
  [
    'swaps-two-requests',
    '16',
    'wrong read of sector 480: that is the data of sector 472',
    'request 140, queue 0, buffer 11, used slot 11 (used index 139)',
  ],
  [
    'flips-a-bit',
    '16',
    'wrong read of sector 480: byte 777 is 0xc1 instead of 0xd1, no other byte differs',
    'request 140, queue 0, buffer 11, used slot 11 (used index 139)',
  ],
  [
    'reports-io-error',
    '16',
    'wrong write of sector 312: the device answered status 1 (VIRTIO_BLK_S_IOERR)',
    'request 40, queue 0, buffer 39, used slot 39 (used index 39)',
  ],
  [
    'forgets-the-status',
    '16',
    'wrong write of sector 312: the device returned the buffer and left the status byte unwritten',
    'request 40, queue 0, buffer 39, used slot 39 (used index 39)',
  ],
  [
    'writes-the-status-late',
    '1',
    'wrong write of sector 312: the device returned the buffer before it wrote its status, 0, which came later',
    'request 40, queue 0, buffer 39, used slot 39 (used index 39)',
  ],
  [
    'corrupts-a-descriptor',
    '16',
    'failed descriptor 11 of queue 0 changed in memory: it is not what the driver wrote',
    'queue 0, buffer 11, which came back: descriptor 11',
  ],
];

/** Every second case, and all of them with `npm run bugs`. */
function tried(cases: readonly Case[]): readonly Case[] {
  return cases.filter((_, at) => process.env['ALL_BUGS'] !== undefined || at % 2 === 0);
}

const PACKED: readonly Case[] = [
  [
    'completes-twice',
    '16',
    'failed the device returned buffer 39 of queue 0 twice in a row',
    'queue 0, buffer 39, slot 40 (wrap counter 1)',
  ],
  [
    'completes-twice',
    '32 no-indirect',
    'failed the device returned buffer 53 of queue 0 twice in a row',
    'queue 0, buffer 53, slot 56 (wrap counter 0)',
  ],
  [
    'completes-twice',
    '32 in-order',
    'failed the device returned buffer 39 of queue 0 twice in a row',
    'queue 0, buffer 39, slot 40 (wrap counter 1)',
  ],
  [
    'skips-an-index',
    '16',
    'failed the device used slot 40 of queue 0 and left out slot 39, which comes first',
    'write of sector 312, queue 0, slot 39 (wrap counter 1); slot 40 returns buffer 39',
  ],
  [
    'skips-an-index',
    '1',
    'failed the device used slot 40 of queue 0 and left out slot 39, which comes first',
    'write of sector 312, queue 0, slot 39 (wrap counter 1); slot 40 returns buffer 39',
  ],
  [
    'skips-an-index',
    '32 two-queues',
    'failed the device used slot 24 of queue 0 and left out slot 23, which comes first',
    'write of sector 368, queue 0, slot 23 (wrap counter 1)',
  ],
  [
    'index-goes-back',
    '16',
    'failed the device marked slot 39 of queue 0 used with wrap counter 0; this lap has 1',
    'write of sector 312, queue 0, buffer 39, slot 39 (wrap counter 1)',
  ],
  [
    'id-out-of-range',
    '16',
    'failed the device returned buffer 67 of queue 0, which has 64 entries',
    'queue 0, buffer 67, slot 39 (wrap counter 1)',
  ],
  [
    'id-not-outstanding',
    '16',
    'failed the device returned buffer 7 of queue 0, which it does not have',
    'queue 0, buffer 7, slot 39 (wrap counter 1)',
  ],
  [
    'used-length-too-large',
    '16',
    'failed the device says that it wrote 2 bytes to buffer 39, which has room for 1',
    'write of sector 312, queue 0, buffer 39, slot 39 (wrap counter 1)',
  ],
  [
    'never-completes-one',
    '16',
    'failed the device left out buffer 39 of queue 0 and returned 60 later ones',
    'write of sector 312, queue 0, buffer 39, slot 39 (wrap counter 1)',
  ],
  [
    'suppresses-kicks',
    '16',
    'failed the device asked for no notification of the 16 buffers that it has in queue 0',
    'write of sector 0, queue 0, buffer 0, slot 0 (wrap counter 1)',
  ],
  [
    'forgets-avail-event',
    '16',
    'failed the device asked for no notification of the # buffers that it has in queue 0',
    'write of sector #, queue 0, buffer #, slot # (wrap counter #)',
  ],
  [
    'forgets-the-used-wrap',
    '16',
    'failed the device marked slot 0 of queue 0 used with wrap counter 1; this lap has 0',
    'write of sector 512, queue 0, buffer 0, slot 0 (wrap counter 0)',
  ],
  [
    'forgets-the-used-wrap',
    '32 no-indirect no-event-idx',
    'failed the device marked slot # of queue 0 used with wrap counter 1; this lap has 0',
    'write of sector #, queue 0, buffer #, slot # (wrap counter 0)',
  ],
  [
    'forgets-the-avail-wrap',
    '16',
    'failed the device waits at slot 0 of queue 0 with wrap counter 1; this lap has 0',
    'write of sector 512, queue 0, buffer 0, slot 0 (wrap counter 0)',
  ],
  [
    'forgets-the-avail-wrap',
    '16 no-event-idx',
    'failed the device returned every buffer up to slot 63 of queue 0, and none from slot 0 on',
    'write of sector 512, queue 0, buffer 0, slot 0 (wrap counter 0)',
  ],
  [
    'forgets-the-event-wrap',
    '1',
    'failed the device used buffer 0 of queue 0 and sent no notification',
    'queue 0, buffer 0, slot 0 (wrap counter 0), after # request',
  ],
  [
    'never-notifies',
    '1',
    'failed the device used buffer 0 of queue 0 and sent no notification',
    'queue 0, buffer 0, slot 0 (wrap counter 1), after # request',
  ],
  [
    'hangs',
    '16',
    'failed the device returned no buffer of queue 0 after buffer 38: it has 16, buffer 39 first',
    'write of sector 312, queue 0, buffer 39, slot 39 (wrap counter 1)',
  ],
  [
    'writes-beyond-the-buffer',
    '16',
    'wrong read of sector 480: the device wrote beyond the end of the data buffer',
    'request 140, queue 0, buffer 11, slot 11 (wrap counter 1), address 0x',
  ],
  [
    'loses-a-write',
    '16',
    'wrong read of sector 312: every byte from 0 on is 0, as if never written',
    'request 161, queue 0, buffer 32, slot 32 (wrap counter 1), address 0x',
  ],
  [
    'wrong-sector',
    '32 in-order',
    'wrong read of sector 480: that is the data of sector 481',
    'request 140, queue 0, buffer 11, slot 11 (wrap counter 1)',
  ],
  [
    'corrupts-a-descriptor',
    '16',
    'failed entry 0 of the indirect table of buffer 11 changed in memory: it is not what the driver wrote',
    'queue 0, buffer 11, which came back: entry 0 of the indirect table',
  ],
];

describe.skipIf(!canCompile)(`the first lines of a failure (${NEEDS})`, () => {
  let backEnd: WrongBackEnd;
  beforeAll(() => (backEnd = new WrongBackEnd()));
  afterAll(() => backEnd[Symbol.dispose]());

  /** The lines of what went wrong, without their indentation, and with one blank for several. */
  async function linesOf(bug: string, how: string, layout: 'split' | 'packed'): Promise<string[]> {
    const [depth, ...words] = how.split(' ');
    const options = layout === 'packed' ? ['packed', ...words] : words;
    const path = backEnd.profile({ bug, options, depth: Number(depth), requests: 200 });
    const { stdout, status } = await commandHere(['run', path]);
    expect(status).toBe(1);
    const lines = stdout.split('\n').map((line) => line.trim().replaceAll(/ +/g, ' '));
    return lines.slice(lines.indexOf('wrong') + 1);
  }

  it.each(tried(SPLIT))('of a split ring say what happened and where: %s %s', async (bug, how, what, where) => {
    const [first, second] = await linesOf(bug, how, 'split');
    expect(first).toMatch(pattern(what));
    expect(second).toMatch(pattern(where));
  });

  it.each(tried(PACKED))('of a packed ring say what happened and where: %s %s', async (bug, how, what, where) => {
    const [first, second] = await linesOf(bug, how, 'packed');
    expect(first).toMatch(pattern(what));
    expect(second).toMatch(pattern(where));
  });

  it('say behind a lost write which request wrote it, and show the bytes', async () => {
    const lines = await linesOf('loses-a-write', '16', 'split');
    expect(lines[2]).toBe('request 40 wrote it last, with status OK (queue 0, buffer 39)');
    expect(lines.find((line) => line.startsWith('0 '))).toMatch(/^0 (\*[\da-f]{2} ?){15}\*[\da-f]{2} (\*00 ?){16}$/);
  });
});

describe.skipIf(!canCompile)(`the page about failures (${NEEDS})`, () => {
  const page = readFileSync(join(ROOT, 'packages/core/docs/failures.md'), 'utf8');
  const blocks = [...page.matchAll(/^```text\n# (.*)\n([^]*?)^```$/gm)].map(([, how, text]) => ({
    how: how!,
    text: text!,
  }));

  it('has three failures', () => expect(blocks).toHaveLength(3));

  it.each(blocks)('shows what a terminal of 80 columns shows: $how', async ({ how, text }) => {
    using backEnd = new WrongBackEnd();
    const [bug, ...options] = how.split(' ');
    const path = backEnd.profile({ bug: bug!, options, depth: 16, requests: 200 });
    let shown = '';
    const stdout = Object.assign(
      new Writable({ decodeStrings: false, write: (chunk, _, done) => ((shown += String(chunk)), done()) }),
      { columns: 80 },
    );
    await runCommandLine(['run', path], { stdout, stderr: new CollectedText(), cwd: ROOT });
    const lines = shown.split('\n');
    const start = lines.indexOf('wrong') + 1;
    const failure = lines.slice(
      start,
      lines.findIndex((line) => /^ {2}(error|differs|again)/.test(line)),
    );
    expect(failure.filter((line) => line.length > 80)).toEqual([]);
    expect(lastingLines(failure)).toEqual(lastingLines(text.trimEnd().split('\n')));
  });
});

/** The lines but those of ring and events, and without addresses: they depend on how fast the device is. */
function lastingLines(lines: readonly string[]): string[] {
  let part = '';
  return lines
    .filter((line) => {
      part = /^ {2}(\w+) /.exec(line)?.[1] ?? part;
      return part !== 'ring' && part !== 'events';
    })
    .map((line) => line.replaceAll(/0x[0-9a-f]+/g, '0x#'));
}

/** The start of a line, or a part of it where that is a place. */
function pattern(text: string): RegExp {
  return new RegExp(text.replaceAll(/[()+.]/g, String.raw`\$&`).replaceAll('#', String.raw`\d+`));
}
