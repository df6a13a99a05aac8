import { installedPlugins, profileJsonSchema } from '@virtio-platform/profile';
import { ExitStatus } from '../exit-status.ts';
import { pluginBases } from '../plugin-bases.ts';
import type { Terminal } from '../terminal.ts';

/** `schema`: the JSON Schema of a profile, with the options of every installed plugin. */
export async function schemaCommand(terminal: Terminal): Promise<ExitStatus> {
  const installed = await installedPlugins(pluginBases(terminal.cwd));
  terminal.printJson(profileJsonSchema(installed));
  return ExitStatus.AsExpected;
}
