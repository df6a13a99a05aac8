import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { missingForGuest } from './guest-files.ts';
import { runLinuxGuest, type LinuxGuestOptions } from './linux-guest.ts';

const missing = missingForGuest('amd64');
const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;

const GUEST: LinuxGuestOptions = {
  architecture: 'amd64',
  arguments: ['-machine', 'q35,accel=tcg', '-cpu', 'max', '-m', '256M'],
  modules: [],
  script: '',
};

/** Processes of this emulator that were given a name. */
function emulatorsNamed(name: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(name);
    } catch {
      return false;
    }
  });
}

describe.skipIf(missing !== undefined)(`a Linux guest${skipped}`, () => {
  it('loads modules with what they depend on, runs its script and says its status', async () => {
    const { console, status } = await runLinuxGuest({
      ...GUEST,
      modules: ['virtio-rng'],
      files: { 'etc/words': 'from the host\n' },
      script: `cat /etc/words; cut -d ' ' -f 1 /proc/modules | sort; exit 7`,
    });
    expect(console).toMatch(/^from the host$/m);
    for (const name of ['virtio', 'virtio_ring', 'virtio_rng']) expect(console).toMatch(new RegExp(`^${name}$`, 'm'));
    expect(console).not.toMatch(/cannot load/);
    expect(status).toBe(7);
  });

  it('is ended when it hangs, and the error shows its console', async () => {
    // Without graphics the firmware is on the console too: it is there long before Linux, however busy this machine is.
    const hanging = runLinuxGuest({
      ...GUEST,
      arguments: [...GUEST.arguments, '-name', 'hanging-guest', '-machine', 'graphics=off'],
      script: 'sleep 1000',
      timeoutMs: 8000,
    });
    await expect(hanging).rejects.toThrow(/did not end within 8000 ms[\s\S]*SeaBIOS/);
    expect(emulatorsNamed('hanging-guest')).toEqual([]);
  });

  it('is an error when its kernel panics, at once', async () => {
    const panicking = runLinuxGuest({ ...GUEST, script: 'echo c > /proc/sysrq-trigger; sleep 1000' });
    await expect(panicking).rejects.toThrow(/Kernel panic/);
  });

  it('shows what QEMU says of arguments that it does not take', async () => {
    const refused = runLinuxGuest({ ...GUEST, arguments: ['-device', 'no-such-device'] });
    await expect(refused).rejects.toThrow(/no-such-device/);
  });

  it('names a module that the kernel does not have', async () => {
    await expect(runLinuxGuest({ ...GUEST, modules: ['no-such-module'] })).rejects.toThrow(/no module no_such_module/);
  });
});
