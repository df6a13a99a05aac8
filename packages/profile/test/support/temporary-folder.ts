import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** Writes files into a folder of their own, which goes away with the test, and returns the folder. */
export function temporaryFolder(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-profile-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  return folder;
}

/** Writes one profile and returns its path. */
export function temporaryProfile(content: string): string {
  return join(temporaryFolder({ 'profile.yaml': content }), 'profile.yaml');
}

/** The path of a fixture plugin, as a profile may name it. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}.ts`, import.meta.url));
}

/** Where the shipped device types are dependencies, so that messages can name them. */
export const SHIPPED = {
  resolveFrom: [fileURLToPath(new URL('../../../cli/package.json', import.meta.url))],
} as const;
