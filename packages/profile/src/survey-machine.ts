import { isCodedError, PluginError, type MachineSurvey } from '@virtio-platform/core';
import { errorMessage } from './error-code.ts';
import type { InstalledPlugin } from './installed-plugins.ts';

/**
 * Has a machine plugin look for devices on this computer; `undefined` for one that does not, and for every other plugin. Throws what
 * has a code, and `ERR_PLUGIN_HOOK` for anything else.
 */
export async function surveyMachine({ use, plugin }: InstalledPlugin): Promise<MachineSurvey | undefined> {
  if (plugin?.kind !== 'machine' || plugin.survey === undefined) return undefined;
  try {
    return await plugin.survey();
  } catch (cause) {
    if (isCodedError(cause)) throw cause;
    throw new PluginError('ERR_PLUGIN_HOOK', use, `its \`survey\` threw: ${errorMessage(cause)}`, {
      hint: 'this is a mistake in the plugin; the cause has the stack',
      cause,
    });
  }
}
