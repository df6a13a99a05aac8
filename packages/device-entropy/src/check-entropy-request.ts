import type { AvailableRequest, RequestMistake } from '@virtio-platform/core';

/** What is wrong with a request of an entropy device (specification 1.4 section 5.4.6.1). */
export function checkEntropyRequest({ chain }: AvailableRequest): RequestMistake | undefined {
  if (chain.readable === 0) return undefined;
  const what = `has ${chain.readableBytes} bytes for the device to read, and the device only writes`;
  return { kind: 'direction', clause: '5.4.6.1', what };
}
