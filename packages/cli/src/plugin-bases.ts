import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package.json files whose dependencies may be plugins: this command's own, and the user's project. */
export function pluginBases(cwd: string): string[] {
  const own = fileURLToPath(new URL('../package.json', import.meta.url));
  const users = join(cwd, 'package.json');
  return existsSync(users) ? [own, users] : [own];
}
