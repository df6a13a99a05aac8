import type { AvailableRequest, RequestMistake } from '@virtio-platform/core';
import { DEFLATE_QUEUE, INFLATE_QUEUE, PAGE_NUMBER_SIZE } from './layout.ts';

/** What is wrong with a buffer of a balloon (specification 1.4 section 5.5.6): page numbers that are no whole ones. */
export function checkBalloonRequest({ queue, chain }: AvailableRequest): RequestMistake | undefined {
  if (queue !== INFLATE_QUEUE && queue !== DEFLATE_QUEUE) return undefined;
  const clause = '5.5.6.1';
  if (chain.writableBytes > 0) {
    const what = 'has page numbers where the device may write';
    return { kind: 'direction', clause, what, segment: chain.readable };
  }
  if (chain.readableBytes % PAGE_NUMBER_SIZE === 0) return undefined;
  const what = `has ${chain.readableBytes} bytes of page numbers, of which each has ${PAGE_NUMBER_SIZE}`;
  return { kind: 'length', clause, what };
}
