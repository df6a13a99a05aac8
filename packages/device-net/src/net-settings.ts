import { z } from 'zod';
import { NET_MAX_QUEUE_PAIRS } from './layout.ts';

/** The device section of a profile for a network device. */
export interface NetSettings {
  /** Six bytes in hexadecimal, with colons. */
  readonly mac: string;
  /** Pairs of a receive and a transmit queue, 1 to 15, of which a driver without NET_MQ uses one. */
  readonly queuePairs: number;
}

/** A locally administered address, in the range that QEMU uses. */
const DEFAULT_MAC = '52:54:00:12:34:56';

/** The schema of the settings. */
export const NET_SETTINGS: z.ZodType<NetSettings, { [Key in keyof NetSettings]?: NetSettings[Key] | undefined }> =
  z.strictObject({
    mac: z
      .string()
      .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'must be six bytes in hexadecimal, such as 52:54:00:12:34:56')
      .default(DEFAULT_MAC)
      .describe('The address, in quotes; without it "52:54:00:12:34:56".'),
    queuePairs: z
      .int()
      .min(1)
      .max(NET_MAX_QUEUE_PAIRS)
      .default(1)
      .describe('Pairs of a receive and a transmit queue, for NET_MQ; without it 1.'),
  });

/** The six bytes of an address. */
export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
}
