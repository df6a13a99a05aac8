import { execFileSync } from 'node:child_process';

/** What has to be installed for tests on QEMU's machines, and whether it is. CI installs it and must not skip them. */
export const QEMU_TESTS: { readonly mayRun: boolean; readonly needs: string } = {
  mayRun: process.env['CI'] !== undefined || ['x86_64', 'ppc64'].every(isInstalled),
  needs: 'needs QEMU: apt-get install qemu-system-x86 qemu-system-ppc',
};

function isInstalled(architecture: string): boolean {
  try {
    execFileSync(`qemu-system-${architecture}`, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
