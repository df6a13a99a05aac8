import { execFileSync } from 'node:child_process';

/** What has to be installed for tests on QEMU's machines, and whether it is. CI installs it and must not skip them. */
export const QEMU_TESTS: { readonly mayRun: boolean; readonly needs: string } = {
  mayRun:
    process.env['CI'] !== undefined ||
    ['x86_64', 'ppc64', 'aarch64'].every((architecture) => isInstalled(`qemu-system-${architecture}`)),
  needs: 'needs QEMU: apt-get install qemu-system-x86 qemu-system-ppc qemu-system-arm',
};

/** The same for tests on the vhost-user back-end of QEMU. */
export const STORAGE_DAEMON_TESTS: typeof QEMU_TESTS = {
  mayRun: process.env['CI'] !== undefined || isInstalled('qemu-storage-daemon'),
  needs: 'needs qemu-storage-daemon: apt-get install qemu-system-common',
};

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
