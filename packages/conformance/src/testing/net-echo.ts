import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../net-echo/net-echo.c', import.meta.url));

/**
 * Whether tests of the DPDK back-end are skipped: where libdpdk or gcc is not installed, except in CI, where they fail.
 * Warns with the packages to install.
 */
export function skipsNetEcho(): boolean {
  if (process.env['CI'] !== undefined) return false;
  try {
    execFileSync('pkg-config', ['--exists', 'libdpdk']);
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    console.warn(
      'DPDK is not installed, so its tests are skipped: apt-get install gcc libc6-dev pkg-config libdpdk-dev',
    );
    return true;
  }
}

/** The compiled back-end, in a temporary folder of its own. */
export interface NetEcho {
  /** Path of the program, which takes the path of its vhost-user socket. */
  readonly program: string;
  /** Removes the folder. */
  readonly remove: () => void;
}

/**
 * Compiles the network back-end `net-echo.c`, which returns each packet, against DPDK's vhost library. Throws where
 * libdpdk or gcc is not installed: see {@link skipsNetEcho}.
 */
export function buildNetEcho(): NetEcho {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-net-echo-'));
  const program = join(folder, 'net-echo');
  const remove = (): void => rmSync(folder, { recursive: true });
  try {
    const flags = execFileSync('pkg-config', ['--cflags', 'libdpdk'], { encoding: 'utf8' }).trim().split(/\s+/);
    const libraries = ['-lrte_vhost', '-lrte_mbuf', '-lrte_mempool', '-lrte_eal'];
    execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', ...flags, SOURCE, '-o', program, ...libraries]);
  } catch (error) {
    remove();
    throw error;
  }
  return { program, remove };
}
