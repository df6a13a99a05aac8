import type { AvailableRequest, RequestMistake } from '@virtio-platform/core';
import { VIRTIO_CONSOLE_F_MULTIPORT } from './console-features.ts';
import { CONSOLE_CONTROL_SIZE, CONSOLE_CONTROL_TRANSMIT } from './layout.ts';

/** What is wrong with a buffer of a console (specification 1.4 sections 5.3.6.1 and 5.3.6.2). */
export function checkConsoleRequest({ queue, chain, accepted }: AvailableRequest): RequestMistake | undefined {
  const isReceive = queue % 2 === 0;
  if (isReceive && chain.readable > 0)
    return { kind: 'direction', clause: '5.3.6.1', what: 'is a receive buffer that the device may only read' };
  if (!isReceive && chain.writableBytes > 0) {
    const what = 'is output of which the device may write a part';
    return { kind: 'direction', clause: '5.3.6.1', what, segment: chain.readable };
  }
  const isControl = queue === CONSOLE_CONTROL_TRANSMIT && accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
  if (!isControl || chain.readableBytes >= CONSOLE_CONTROL_SIZE) return undefined;
  const what = `is a control message of ${chain.readableBytes} bytes: it has ${CONSOLE_CONTROL_SIZE}`;
  return { kind: 'header', clause: '5.3.6.2', what };
}
