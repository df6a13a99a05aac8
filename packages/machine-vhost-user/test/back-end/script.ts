import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deviceDescription } from '@virtio-platform/conformance/testing';
import type { BootedMachine, MachineRequest } from '@virtio-platform/core';
import block from '@virtio-platform/device-block';
import console from '@virtio-platform/device-console';
import entropy from '@virtio-platform/device-entropy';
import net from '@virtio-platform/device-net';
import type { VhostUserOptions } from '../../src/options.ts';
import { VhostUserMachine } from '../../src/vhost-user-machine.ts';

const TYPES = { block, entropy, net, console } as const;

/** What the back-end is, and what it does wrong. */
export interface Script {
  readonly type: keyof typeof TYPES;
  /** Where each message is written, one a line. */
  readonly log: string;
  /** As hexadecimal numbers, with 0x. */
  readonly features: string;
  readonly protocolFeatures: string;
  /** The answer to GET_QUEUE_NUM. */
  readonly queues?: number;
  /** Before each answer. */
  readonly delayMs?: number;
  /** Messages at which it ends or hangs, and after whose answer it ends. */
  readonly exitAt?: string;
  readonly hangAt?: string;
  readonly exitAfter?: string;
  /** Payloads in hexadecimal that it sends instead of its own. */
  readonly answers?: Readonly<Record<string, string>>;
  /** A message to whose answer it attaches a file descriptor. */
  readonly attachesTo?: string;
  /** Queues that have to be set up before any is enabled. */
  readonly needs?: readonly number[];
  /** The answer to GET_VRING_BASE. */
  readonly base?: number;
  /** Clears O_NONBLOCK of the descriptors that it got. */
  readonly clearsNonBlock?: boolean;
  readonly neverReads?: boolean;
  /** How many buffers it returns; all by default. */
  readonly returns?: number;
  readonly neverCalls?: boolean;
  /** Takes its own notifications back. */
  readonly steals?: boolean;
  readonly closesKick?: boolean;
  /** After each buffer: the flags of a CONFIG_CHANGE_MSG, 1, or 9 with NEED_REPLY. */
  readonly changesConfig?: number;
}

/** VERSION_1 and the protocol features. */
const FEATURES = '0x140000000';
/** REPLY_ACK and CONFIG. */
export const BLOCK_PROTOCOL = '0x208';

export interface Scripted {
  readonly machine: BootedMachine;
  /** What the back-end received so far. */
  readonly messages: () => string[];
}

/** Boots a machine on a scripted back-end, hands over, and ends it on every way out. */
export async function withScripted(
  script: Partial<Script>,
  use: (scripted: Scripted) => void | Promise<void>,
  options: Partial<VhostUserOptions> = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
  const log = join(folder, 'log');
  const type = script.type ?? 'block';
  const request: MachineRequest = {
    memory: 1 << 20,
    device: deviceDescription(TYPES[type]),
    needs: [],
    simulate: undefined,
    baseDirectory: tmpdir(),
  };
  const whole = { type, log, features: FEATURES, protocolFeatures: BLOCK_PROTOCOL, ...script };
  const program = fileURLToPath(new URL('scripted-back-end.ts', import.meta.url));
  const node = [process.execPath, '--import', import.meta.resolve('tsx'), '--conditions=@virtio-platform/source'];
  try {
    const machine = await new VhostUserMachine(request, {
      socket: undefined,
      command: [...node, program, '{socket}', JSON.stringify(whole)],
      startTimeout: 20_000,
      replyTimeout: 2000,
      iotlb: { fill: 'on-miss', writeImpliesRead: false },
      ...options,
    }).boot();
    try {
      await use({ machine, messages: () => readFileSync(log, 'utf8').trim().split('\n') });
    } finally {
      await machine.dispose();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
