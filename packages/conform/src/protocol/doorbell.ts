import { writeSync } from 'node:fs';
import { EventFd } from '@virtio-platform/host';

/** An event counter that both ends have: each may count up and take the count. */
export class Doorbell extends EventFd {
  /** Counts up, by one unless given. */
  ring(by = 1n): void {
    writeSync(this.descriptor, new Uint8Array(BigUint64Array.of(by).buffer));
  }
}
