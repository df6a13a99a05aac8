import type { ProtocolCase } from '../../protocol/protocol-case.ts';
import { CONNECTION_CASES } from './connection-cases.ts';
import { DEVICE_STATE_CASES } from './device-state-cases.ts';
import { GREETING_CASES } from './greeting-cases.ts';
import { HOSTILE_MEMORY_CASES } from './hostile-memory-cases.ts';
import { HOSTILE_MESSAGE_CASES } from './hostile-message-cases.ts';
import { HOSTILE_RING_CASES } from './hostile-ring-cases.ts';
import { IOTLB_CASES } from './iotlb-cases.ts';
import { IOTLB_HOSTILE_CASES } from './iotlb-hostile-cases.ts';
import { LOG_CASES } from './log-cases.ts';
import { LOG_HOSTILE_CASES } from './log-hostile-cases.ts';
import { MEMORY_CASES } from './memory-cases.ts';
import { RING_STATE_CASES } from './ring-state-cases.ts';

/** The cases of the vhost-user protocol, of a back-end of any device type. */
export const PROTOCOL_CASES: readonly ProtocolCase[] = [
  ...GREETING_CASES,
  ...RING_STATE_CASES,
  ...MEMORY_CASES,
  ...DEVICE_STATE_CASES,
  ...CONNECTION_CASES,
  ...HOSTILE_MESSAGE_CASES,
  ...HOSTILE_RING_CASES,
  ...HOSTILE_MEMORY_CASES,
  ...IOTLB_CASES,
  ...IOTLB_HOSTILE_CASES,
  ...LOG_CASES,
  ...LOG_HOSTILE_CASES,
];
