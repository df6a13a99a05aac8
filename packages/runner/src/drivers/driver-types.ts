import type { Profile } from '@virtio-platform/profile';
import type { DriverType } from '../driver-half.ts';
import { BLOCK_TYPE } from './block.ts';
import { CONSOLE_TYPE } from './console.ts';
import { ENTROPY_TYPE } from './entropy.ts';
import { NET_TYPE } from './net.ts';

/** How each device type that profiles know is driven. */
export const DRIVER_TYPES: Readonly<Record<Profile['device']['type'], DriverType>> = {
  block: BLOCK_TYPE,
  net: NET_TYPE,
  console: CONSOLE_TYPE,
  entropy: ENTROPY_TYPE,
};
