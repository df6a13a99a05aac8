import { crashingAt, handling, ignoringBuffers, type FoundBug } from './simple-bugs.ts';

/** The same bytes each time. */
const CONSTANT = Array.from({ length: 16 }, (_, i) => i + 1);

/** Bugs of an entropy device. */
export const ENTROPY_BUGS: readonly FoundBug[] = [
  ignoringBuffers('leaves buffers of 8 bytes empty', ['entropy/short'], ({ chain }) => chain.writableBytes === 8),
  ignoringBuffers(
    'leaves buffers of odd descriptors empty',
    ['entropy/segments'],
    ({ lengths }) => lengths.length === 4 && lengths[1] === 7,
  ),
  ignoringBuffers('fills at most 16 descriptors', ['entropy/single-bytes'], ({ lengths }) => lengths.length > 16),
  handling('fills long buffers with the same bytes', ['entropy/long'], ({ chain, write, handle }) =>
    chain.writableBytes > 0x8000 ? write(0, CONSTANT) : handle(),
  ),
  handling('gives the byte 7 for one byte', ['entropy/one-byte'], ({ chain, write, handle }) =>
    chain.writableBytes === 1 ? write(0, [7]) : handle(),
  ),
  handling('gives the same bytes to buffers at once', ['entropy/at-once'], ({ chain, device, write, handle }) => {
    const isSecond = (device.rings[0]?.taken ?? 0) > 1;
    return chain.writableBytes === 32 && isSecond ? write(0, CONSTANT) : handle();
  }),
  handling(
    'starts with the same bytes after each reset',
    ['entropy/differs-after-reset'],
    ({ device, write, handle }) => (device.rings[0]?.taken === 1 ? write(0, CONSTANT) : handle()),
  ),
  crashingAt('a buffer that is readable', ['entropy/hostile-readable'], ({ chain }) => chain.writableBytes === 0),
  crashingAt(
    'a buffer with a readable part',
    ['entropy/hostile-half-readable'],
    ({ chain }) => chain.readable > 0 && chain.writableBytes > 0,
  ),
  crashingAt('a buffer of 1 MiB', ['entropy/hostile-of-1-mib'], ({ chain }) => chain.writableBytes === 0x10_0000),
  crashingAt('a buffer that comes again', ['entropy/hostile-same-buffer'], ({ chain, device }) => {
    const isAgain = device.count === chain.low[0];
    device.count = chain.low[0]!;
    return isAgain;
  }),
];
