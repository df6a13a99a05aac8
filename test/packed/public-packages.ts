import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

/** The parts of a package.json that tests look at. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly description: string;
  readonly keywords: readonly string[];
  readonly homepage: string;
  readonly bugs: { readonly url: string };
  readonly license: string;
  readonly repository: { readonly type: string; readonly url: string; readonly directory: string };
  readonly exports: Readonly<Record<string, string | { readonly types?: string }>>;
  readonly engines: { readonly node: string };
  readonly publishConfig: { readonly access: string };
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** A package that is published: the name of its folder, and its package.json. */
export interface PublicPackage {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** All packages that are published, by the names of their folders. */
export function publicPackages(): PublicPackage[] {
  return readdirSync(join(ROOT, 'packages'))
    .map((folder) => ({ folder, manifest: readManifest(join(ROOT, 'packages', folder, 'package.json')) }))
    .filter(({ manifest }) => manifest.private !== true);
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
}
