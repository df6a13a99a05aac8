import type { Bug } from './broken-device.ts';
import { BLOCK_BUGS } from './block-bugs.ts';
import { BLOCK_FRAMING_BUGS } from './block-framing-bugs.ts';
import { HOSTILE_BUGS } from './hostile-bugs.ts';
import { NOTIFICATION_BUGS } from './notification-bugs.ts';
import { QUEUE_BUGS } from './queue-bugs.ts';
import { REGISTER_BUGS } from './register-bugs.ts';
import { RING_BUGS } from './ring-bugs.ts';

/** Every bug that conform is held to find. */
export const BUGS: readonly Bug[] = [
  ...RING_BUGS,
  ...NOTIFICATION_BUGS,
  ...REGISTER_BUGS,
  ...QUEUE_BUGS,
  ...HOSTILE_BUGS,
  ...BLOCK_BUGS,
  ...BLOCK_FRAMING_BUGS,
];
