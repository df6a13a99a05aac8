import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the shipped profiles: the one packed with this package, or the repository's own. */
export function shippedFolder(): string {
  const folders = ['../profiles', '../../../profiles'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return folders.find((folder) => existsSync(folder)) ?? folders[0]!;
}

/** The shipped profiles that need nothing installed: those at the top of the folder. Sorted by name. */
export function embeddedProfiles(): string[] {
  return profilesIn(shippedFolder());
}

/** Of the shipped profiles, one for each platform, and for each way in which it maps. */
const PLATFORMS: readonly string[] = [
  'no-iommu-identity.yaml',
  'intel-iommu.yaml',
  'amd-iommu.yaml',
  'virtio-iommu.yaml',
  'smmuv3.yaml',
  'pseries-identity.yaml',
  'pseries-linear.yaml',
  'pseries-dynamic.yaml',
  'pseries-secure.yaml',
  'sev-bounce.yaml',
  'vfio-pool.yaml',
  'argument/09-unprivileged-driver.yaml',
];

/** The profiles that stand for the platforms. */
export function shippedPlatforms(): string[] {
  return PLATFORMS.map((name) => join(shippedFolder(), name));
}

/**
 * All shipped profiles: also those that need a real machine, that show a refusal, or that walk through the argument.
 */
export function shippedProfiles(): string[] {
  const root = shippedFolder();
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...profilesIn(root), ...folders.flatMap((folder) => profilesIn(join(root, folder.name)))];
}

/** What shipped profiles are called: by their paths without ending, `pseries/windows`, and as `list` shows them. */
function shippedByNames(): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, readonly string[]>();
  for (const file of shippedProfiles()) {
    const path = relative(shippedFolder(), file)
      .replaceAll('\\', '/')
      .replace(/\.yaml$/, '');
    const [folder, name] = path.split('/');
    if (name !== undefined) names.set(folder!, [...(names.get(folder!) ?? []), file]);
    names.set(path, [file]);
    const [, given] = /^profile: *"?([^"\s]+)"?\s*$/m.exec(readFileSync(file, 'utf8')) ?? [];
    if (given !== undefined && !names.has(given)) names.set(given, [file]);
  }
  return names;
}

/**
 * The shipped profiles with a name: that of one, `pseries-linear` or `vhost-user/sev`, or that of a folder, `sev`; none
 * where no profile has it.
 */
export function shippedByName(name: string): readonly string[] {
  return shippedByNames().get(name.replace(/\/$/, '')) ?? [];
}

/** The names that {@link shippedByName} knows. */
export function shippedNames(): readonly string[] {
  return [...shippedByNames().keys()];
}

function profilesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .toSorted()
    .map((name) => join(folder, name));
}
