import type { NegotiatedDevice } from '@virtio-platform/core';
import { CONSOLE_CONFIG } from './console-config.ts';
import { VIRTIO_CONSOLE_F_EMERG_WRITE } from './console-features.ts';

/**
 * Writes one character, 0 to 255, to `emerg_wr`: before the device is negotiated, while it works, and when its queues
 * are broken (specification 1.4 section 5.3.4). A device that offers EMERG_WRITE takes it whether or not the driver
 * accepted the feature. Returns whether the device offers it; nothing is written where it does not.
 */
export function writeEmergency(
  { transport, byteOrder }: Pick<NegotiatedDevice, 'transport' | 'byteOrder'>,
  character: number,
): boolean {
  if (!transport.readDeviceFeatures().has(VIRTIO_CONSOLE_F_EMERG_WRITE)) return false;
  const { offset, width } = CONSOLE_CONFIG.emerg_wr;
  const bytes = new Uint8Array(width);
  new DataView(bytes.buffer).setUint32(0, character & 0xff, byteOrder === 'little');
  transport.writeConfig(offset, bytes);
  return true;
}
