import type { MachinePlugin, PlatformPlugin } from '@virtio-platform/core';
import { runHookSync } from '../guard/run-hook.ts';
import { issueAt } from '../source/profile-issue.ts';
import { LocatedPluginError } from './plugin-error.ts';
import type { ChosenPlugin } from './plugin-use.ts';
import { has, renameOptions } from './renamed-options.ts';

/**
 * Throws {@link LocatedPluginError} `ERR_PLUGIN_OPTIONS` where a profile describes simulated hardware, and its machine
 * has hardware of its own: the run would pass without what the profile asks for.
 */
export function checkSimulatedOptions(
  { use, plugin }: ChosenPlugin<PlatformPlugin>,
  { plugin: machine }: ChosenPlugin<MachinePlugin>,
): void {
  if (machine.provides === 'simulated') return;
  const renamed = runHookSync('platform', use, 'renamedOptions', () => plugin.renamedOptions);
  const { options, sourcePath } = renameOptions(use, renamed);
  const given = (plugin.simulatedOptions ?? []).filter((option) => has(options, option.split('.')));
  if (given.length === 0) return;
  const issues = given.map((option) => {
    const path = sourcePath(option.split('.'));
    const place = { location: use.locate(path, 'key'), text: String(path.at(-1)) };
    const message = `has no effect on machine ${machine.name}: it describes simulated hardware`;
    return issueAt(place, ['platform', ...path], message, { code: 'ERR_PLUGIN_OPTIONS' });
  });
  const message = given.length === 1 ? 'an option has no effect' : `${given.length} options have no effect`;
  const hint = `leave them out: options of the machine say what machine ${machine.name} has`;
  throw new LocatedPluginError('platform', use, { code: 'ERR_PLUGIN_OPTIONS', message, hint }, issues);
}
