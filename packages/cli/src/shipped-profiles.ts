import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the shipped profiles: the repository's own, or the one packed with this package. */
function shippedFolder(): string {
  const folders = ['../../../profiles', './profiles'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return folders.find((folder) => existsSync(folder)) ?? folders[0]!;
}

/** The shipped profiles that need nothing installed: those at the top of the folder. Sorted by name. */
export function embeddedProfiles(): string[] {
  return profilesIn(shippedFolder());
}

/** All shipped profiles; those in a folder of their own need a real machine. */
export function shippedProfiles(): string[] {
  const root = shippedFolder();
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...profilesIn(root), ...folders.flatMap((folder) => profilesIn(join(root, folder.name)))];
}

function profilesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .toSorted()
    .map((name) => join(folder, name));
}
