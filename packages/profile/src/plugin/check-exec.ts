import type { PlatformPlugin } from '@virtio-platform/core';
import { checkRefusal } from '../guard/checked-answer.ts';
import { runHookSync } from '../guard/run-hook.ts';
import type { Disruption } from '../schema/profile.ts';
import { LocatedPluginError } from './plugin-error.ts';
import type { ChosenPlugin } from './plugin-use.ts';

/**
 * Throws {@link LocatedPluginError} `ERR_PLUGIN_EXEC` where a workload has its process call exec, and nothing of the
 * platform's would outlive that process.
 */
export function checkExec(
  { use, plugin, options }: ChosenPlugin<PlatformPlugin>,
  disruptions: readonly Disruption[],
): void {
  if (!disruptions.some((disruption) => disruption.do === 'exec')) return;
  const why =
    plugin.refusesExec === undefined
      ? 'has no process that could call exec'
      : checkRefusal(
          use,
          'refusesExec',
          runHookSync('platform', use, 'refusesExec', () => plugin.refusesExec!(options)),
        );
  if (why === undefined) return;
  throw new LocatedPluginError('platform', use, {
    code: 'ERR_PLUGIN_EXEC',
    message: `platform ${plugin.name} ${why}, and workload.disruptions has do: exec`,
    hint: 'use @virtio-platform/platform-vfio with container: type1v2, or leave the disruption out',
  });
}
