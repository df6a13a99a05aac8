import { writeSync } from 'node:fs';
import { EventFd } from '@virtio-platform/host';

const ONE = new Uint8Array(BigUint64Array.of(1n).buffer);

/** An event counter that both ends have: each may count up and take the count. */
export class Doorbell extends EventFd {
  /** Counts up by one. */
  ring(): void {
    writeSync(this.descriptor, ONE);
  }
}
