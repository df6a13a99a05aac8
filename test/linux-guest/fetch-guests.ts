/** `npm run fetch-guests`: fetches the Debian kernels that tests boot, so that the tests themselves need no network. */
import 'reflect-metadata';
import { guestFiles } from './guest-files.ts';

for (const architecture of ['amd64', 'ppc64el'] as const) {
  const { kernel } = await guestFiles(architecture);
  console.log(kernel);
}
