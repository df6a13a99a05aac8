import { CodedError, type MissingRequirement } from '@virtio-platform/core';
import { displayLocation } from './display-path.ts';
import { displayUse } from './plugin-use.ts';
import type { PluginUse } from './profile.ts';

/** A machine that needs something that is not installed here: `ERR_MACHINE_MISSING`. */
export class MachineMissingError extends CodedError {
  readonly missing: readonly MissingRequirement[];

  constructor(use: PluginUse, missing: readonly MissingRequirement[]) {
    const list = missing.map(({ what }) => what).join('; ');
    const message = `${displayUse(use.use)}: missing here: ${list} (${displayLocation(use.location)})`;
    super('ERR_MACHINE_MISSING', message, { hint: missing.map(({ fix }) => fix).join('; ') });
    this.missing = missing;
  }
}
