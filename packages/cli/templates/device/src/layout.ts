import type { ConfigTable } from '@virtio-platform/core';
import { FeatureRows } from '@virtio-platform/core/features';

/** The feature bits of the device type. A profile writes their names: `offers: [VERSION_1, TEMPLATE_NAME_STEP]`. */
export const TEMPLATE_NAME_FEATURES: FeatureRows = new FeatureRows('README of template-package');

/** The counter counts in steps of its own. Without it each tick counts 1. */
export const TEMPLATE_NAME_F_STEP: number = TEMPLATE_NAME_FEATURES.bit(0, 'TEMPLATE_NAME_STEP');

/** The configuration space. A driver half reads a field only where its feature was accepted. */
export const TEMPLATE_NAME_CONFIG = {
  /** Milliseconds from one tick to the next. */
  interval: { offset: 0, width: 4 },
  /** What each tick adds to the counter. */
  step: { offset: 4, width: 4, feature: TEMPLATE_NAME_F_STEP },
} as const satisfies ConfigTable;

/** The one queue: the device writes a tick to each buffer. */
export const TICK_QUEUE = 0;

/** Bytes of a tick: the counter, and the milliseconds since the start, 32 bits each. */
export const TICK_BYTES = 8;
