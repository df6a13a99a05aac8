import type { ConformCase, DeviceTypePlugin } from '@virtio-platform/core';
import { CONFIG_CASES } from './config-cases.ts';
import { FEATURE_CASES } from './feature-cases.ts';
import { HOSTILE_CHAIN_CASES } from './hostile/chain-cases.ts';
import { HOSTILE_PACKED_CASES } from './hostile/packed-cases.ts';
import { HOSTILE_QUEUE_CASES } from './hostile/queue-cases.ts';
import { HOSTILE_SPLIT_CASES } from './hostile/split-cases.ts';
import { QUEUE_CASES } from './queue-cases.ts';
import { randomCase } from '../operations/operation-cases.ts';
import { RESET_CASES } from './reset-cases.ts';
import { CHAIN_CASES } from './ring/chain-cases.ts';
import { NOTIFICATION_CASES } from './ring/notification-cases.ts';
import { USED_CASES } from './ring/used-cases.ts';
import { STATUS_CASES } from './status-cases.ts';

/** The cases that every device type has. */
export const COMMON_CASES: readonly ConformCase[] = [
  ...STATUS_CASES,
  ...FEATURE_CASES,
  ...CONFIG_CASES,
  ...CHAIN_CASES,
  ...USED_CASES,
  ...NOTIFICATION_CASES,
  ...RESET_CASES,
  ...QUEUE_CASES,
  ...HOSTILE_SPLIT_CASES,
  ...HOSTILE_PACKED_CASES,
  ...HOSTILE_CHAIN_CASES,
  ...HOSTILE_QUEUE_CASES,
];

/** All cases of a device type: the common ones, its own, then a long run of operations that follow from a seed. */
export function casesOf(
  { cases }: Pick<DeviceTypePlugin, 'cases'>,
  seed?: number,
  operations?: number,
): readonly ConformCase[] {
  return [...COMMON_CASES, ...(cases?.cases ?? []), randomCase(cases?.openModel, seed, operations)];
}
