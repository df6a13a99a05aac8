/**
 * `npm run fetch-guests`: fetches the Debian kernel that the tests boot, so that the tests themselves need no network.
 * `-- all` fetches those of `npm run linux` and `npm run guests` too.
 */
import 'reflect-metadata';
import { DEBIAN_RELEASE, type DebianTarget } from './debian-packages.ts';
import { guestFiles, TESTED_GUEST } from './guest-files.ts';

const GUESTS: readonly DebianTarget[] = [
  TESTED_GUEST,
  { architecture: 'amd64', release: 'trixie' },
  { architecture: 'arm64', release: DEBIAN_RELEASE },
  { architecture: 'arm64', release: 'trixie' },
  { architecture: 'ppc64el', release: DEBIAN_RELEASE },
];

for (const { architecture, release } of process.argv[2] === 'all' ? GUESTS : GUESTS.slice(0, 1)) {
  const { kernel } = await guestFiles(architecture, release);
  console.log(kernel);
}
