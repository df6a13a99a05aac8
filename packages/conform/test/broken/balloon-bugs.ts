import { altered } from './register-bugs.ts';
import { crashingAt, handling, type FoundBug, type Handled } from './simple-bugs.ts';

const STATISTICS = 2;
const REPORTS = 4;
const PAGE = 4096;

const isPages = ({ queue }: Handled): boolean => queue < 2;
const number = ({ readable }: Handled): number => new DataView(readable.buffer).getUint32(0, true);

/** Does not come back from some requests. */
function hangingAt(name: string, cases: readonly string[], isSo: (handled: Handled) => boolean): FoundBug {
  return handling(name, cases, (handled) => {
    if (isSo(handled)) handled.device.wedge();
    return isSo(handled) ? -1 : handled.handle();
  });
}

/** Hostile requests at which a device crashes. */
function crashes(id: string, isSo: (handled: Handled) => boolean): FoundBug {
  return crashingAt(`balloon: ${id}`, [`balloon/hostile-${id}`], isSo);
}

/** Bugs of a balloon. */
export const BALLOON_BUGS: readonly FoundBug[] = [
  hangingAt('hangs at one page', ['balloon/one-page'], (handled) => isPages(handled) && handled.readable.length === 4),
  hangingAt(
    'hangs at more than 100 pages',
    ['balloon/many-pages'],
    (handled) => isPages(handled) && handled.readable.length > 400,
  ),
  hangingAt('hangs at a number in two descriptors', ['balloon/numbers-in-two'], ({ lengths }) => lengths[0] === 6),
  hangingAt(
    'hangs at numbers of odd lengths',
    ['balloon/numbers-in-odd-lengths'],
    ({ lengths }) => lengths[0] === 1 && lengths[1] === 7,
  ),
  hangingAt('hangs at 30 descriptors', ['balloon/numbers-in-single-bytes'], ({ lengths }) => lengths.length > 30),
  handling('takes the next page too', ['balloon/other-pages-kept'], (handled) => {
    const used = handled.handle();
    if (handled.queue === 0)
      handled.device.memory!.u8.fill(0, (number(handled) + 1) * PAGE, (number(handled) + 2) * PAGE);
    return used;
  }),
  [
    {
      name: 'forgets actual',
      transport: altered((inner) => ({
        readConfig: (offset, bytes) => {
          inner.readConfig(offset, bytes);
          if (offset === 4) bytes.fill(0);
        },
      })),
    },
    ['balloon/actual-kept'],
  ],
  handling('returns statistics at once', ['balloon/statistics-held'], ({ queue, handle }) => {
    return queue === STATISTICS ? 0 : handle();
  }),
  hangingAt(
    'hangs at statistics that it does not know',
    ['balloon/statistics-of-any-tags'],
    ({ queue, readable }) => queue === STATISTICS && readable[10] === 0xff,
  ),
  hangingAt('hangs at reports', ['balloon/reports'], ({ queue }) => queue === REPORTS),
  handling('fills reported pages', ['balloon/reports-poisoned'], (handled) => {
    const used = handled.handle();
    if (handled.queue === REPORTS) handled.write(0, [0xba]);
    return used;
  }),
  crashes('half-a-number', (handled) => isPages(handled) && handled.readable.length === 3),
  crashes('number-and-a-byte', (handled) => isPages(handled) && handled.readable.length === 5),
  crashes('outside', (handled) => handled.queue === 0 && handled.readable.length === 4 && number(handled) === 0xf_ffff),
  crashes(
    'last-number',
    (handled) => handled.queue === 0 && handled.readable.length === 4 && number(handled) === 0xffff_ffff,
  ),
  crashes('twice', ({ queue, readable }) => queue === 0 && readable.length === 8 && readable[0] === readable[4]),
  crashes('never-given', (handled) => handled.queue === 1 && number(handled) !== 0xf_ffff),
  crashes('deflate-outside', (handled) => handled.queue === 1 && number(handled) === 0xf_ffff),
  crashes('writable', ({ queue, chain }) => queue === 0 && chain.readable === 0),
  crashes('statistics-of-9', ({ queue, readable }) => queue === STATISTICS && readable.length === 9),
  crashes('two-statistics', ({ queue, device }) => queue === STATISTICS && device.rings[STATISTICS]!.taken === 2),
  crashes('report-of-part-of-a-page', ({ queue, chain }) => queue === REPORTS && chain.writableBytes === 100),
  crashes('report-of-pages-at-odd-address', ({ queue, chain }) => queue === REPORTS && chain.low[0]! % PAGE === 2),
  crashes('report-of-all-of-memory', ({ queue, chain }) => queue === REPORTS && chain.writableBytes > 2 ** 31),
  crashes('readable-report', ({ queue, chain }) => queue === REPORTS && chain.readable > 0),
];
