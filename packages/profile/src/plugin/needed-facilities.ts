import type { FacilityToken, PlatformPlugin } from '@virtio-platform/core';
import { checkNeedsWith } from '../guard/checked-answer.ts';
import { runHookSync } from '../guard/run-hook.ts';
import type { ChosenPlugin } from './plugin-use.ts';

/** What a machine has to provide for a platform with its options. Throws `ERR_PLUGIN_CONTRACT`. */
export function neededFacilities({ use, plugin, options }: ChosenPlugin<PlatformPlugin>): readonly FacilityToken[] {
  const more = runHookSync('platform', use, 'needsWith', () => plugin.needsWith?.(options));
  return [...plugin.needs, ...checkNeedsWith(use, more)];
}
