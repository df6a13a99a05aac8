import { installedPlugins, profileJsonSchema } from '@virtio-platform/profile';
import { reportJsonSchema } from '@virtio-platform/runner/report-schema';
import { ExitStatus } from '../exit-status.ts';
import { pluginBases } from '../plugin-bases.ts';
import type { Terminal } from '../terminal.ts';

/**
 * `schema`: the JSON Schema of a profile, with the options of every installed plugin; or of what `run --json` prints.
 */
export async function schemaCommand(terminal: Terminal, ofReport: boolean): Promise<ExitStatus> {
  if (ofReport) {
    terminal.printJson(reportJsonSchema());
    return ExitStatus.AsExpected;
  }
  const installed = await installedPlugins(pluginBases(terminal.cwd));
  terminal.printJson(profileJsonSchema(installed));
  return ExitStatus.AsExpected;
}
