/**
 * `npm run fetch-guests`: fetches the Debian kernels that tests boot, so that the tests themselves need no network.
 * `-- all` fetches that of `npm run guests` too.
 */
import 'reflect-metadata';
import { guestFiles } from './guest-files.ts';

const GUESTS = [['amd64'], ['ppc64el'], ['amd64', 'trixie']] as const;

for (const [architecture, release] of process.argv[2] === 'all' ? GUESTS : GUESTS.slice(0, 2)) {
  const { kernel } = await guestFiles(architecture, release);
  console.log(kernel);
}
