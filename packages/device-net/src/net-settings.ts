import { z } from 'zod';
import { NET_MAX_QUEUE_PAIRS } from './layout.ts';

/** What happens to a network device while it runs. */
export interface NetEvent {
  /** The number of frames that were sent before it happens. */
  readonly after: number;
  /** `announce`: the device asks its driver to announce itself; `link-down`: the link is down for a while. */
  readonly do: 'announce' | 'link-down';
  /** How long the link is down. */
  readonly milliseconds: number;
}

/** The device section of a profile for a network device. */
export interface NetSettings {
  /** Six bytes in hexadecimal, with colons. */
  readonly mac: string;
  /** Pairs of a receive and a transmit queue, 1 to 15, of which a driver without NET_MQ uses one. */
  readonly queuePairs: number;
  /** Bytes of the longest IP packet, 68 to 65535, for NET_MTU; none unless given. */
  readonly mtu?: number | undefined;
  /** Millions of bits in a second, for NET_SPEED_DUPLEX; unknown unless given. */
  readonly speed?: number | undefined;
  /** `full` unless given; for NET_SPEED_DUPLEX. */
  readonly duplex?: 'half' | 'full' | undefined;
  readonly events: readonly NetEvent[];
}

/** What a profile may write. */
export interface NetSettingsInput {
  readonly mac?: string | undefined;
  readonly queuePairs?: number | undefined;
  readonly mtu?: number | undefined;
  readonly speed?: number | undefined;
  readonly duplex?: 'half' | 'full' | undefined;
  readonly events?:
    | readonly { readonly after: number; readonly do: NetEvent['do']; readonly milliseconds?: number | undefined }[]
    | undefined;
}

/** A locally administered address, in the range that QEMU uses. */
const DEFAULT_MAC = '52:54:00:12:34:56';

const event = z.strictObject({
  after: z.int().min(1).max(0x7fff_ffff).describe('The number of sent frames after which it happens.'),
  do: z.enum(['announce', 'link-down']).describe('What happens: announce, or link-down for a while.'),
  milliseconds: z.int().min(1).max(10_000).default(10).describe('How long the link is down; without it 10.'),
});

/** The schema of the settings. */
export const NET_SETTINGS: z.ZodType<NetSettings, NetSettingsInput> = z
  .strictObject({
    mac: z
      .string()
      .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'must be six bytes in hexadecimal, such as 52:54:00:12:34:56')
      .refine((mac) => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0, 'is a group address: its first byte is odd')
      .default(DEFAULT_MAC)
      .describe('The address, in quotes; without it "52:54:00:12:34:56".'),
    queuePairs: z
      .int()
      .min(1)
      .max(NET_MAX_QUEUE_PAIRS)
      .default(1)
      .describe('Pairs of a receive and a transmit queue, for NET_MQ and NET_RSS; without it 1.'),
    mtu: z.int().min(68).max(65_535).optional().describe('Bytes of the longest IP packet, for NET_MTU.'),
    speed: z.int().min(0).max(0x7fff_ffff).optional().describe('Mbit/s, for NET_SPEED_DUPLEX.'),
    duplex: z.enum(['half', 'full']).optional().describe('half or full, for NET_SPEED_DUPLEX; without it full.'),
    events: z
      .array(event)
      .max(100)
      .default([])
      .describe('What happens to the device of the embedded machine: [{ after: 500, do: announce }].'),
  })
  .refine(({ speed, duplex }) => speed !== undefined || duplex === undefined, {
    error: 'has no effect without device.speed',
    path: ['duplex'],
  });

/** The six bytes of an address. */
export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** An address in hexadecimal, with colons. */
export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
