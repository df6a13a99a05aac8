import { defineWorkload, type WorkloadProblem, type WorkloadType } from '@virtio-platform/core';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { Echo, type EchoOptions } from './echo.ts';
import type { MessageDriver } from './message-link.ts';

/** The messages that a device type can carry. */
export interface MessageSizes<Settings = unknown> {
  /** Bytes of the shortest message. */
  readonly least: number;
  /** What is wrong with messages of `blockSize` bytes; `undefined` where nothing is. */
  readonly problem?: (blockSize: number, settings: Settings) => WorkloadProblem | undefined;
}

/** A workload over messages. */
type EchoWorkload<Settings> = WorkloadType<Settings, MessageDriver, EchoOptions>;

/** The workloads `echo` and `stream` of a device type whose device gives back what it is sent. */
export function echoWorkloads<Settings = unknown>({
  least,
  problem,
}: MessageSizes<Settings>): {
  readonly [Kind in 'echo' | 'stream']: EchoWorkload<Settings>;
} {
  const workload = (summary: string, meaning: string): EchoWorkload<Settings> =>
    defineWorkload<Settings, MessageDriver, EchoOptions>({
      summary,
      options: z.strictObject({ blockSize: byteSize().describe(meaning) }),
      bytes: ({ blockSize }) => blockSize,
      problem: (settings, { blockSize }) => problem?.(blockSize, settings),
      recovers: false,
      open: (driver: MessageDriver, context) => new Echo(driver, context, least),
    });
  return {
    echo: workload('send messages of one length and compare what comes back', 'Bytes of each message: 1KiB.'),
    stream: workload('send messages of all lengths and compare what comes back', 'Bytes of the longest message: 1KiB.'),
  };
}
