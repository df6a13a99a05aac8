import { describe, expect, it } from 'vitest';
import { missingForGuest } from './guest-files.ts';
import { runVfioGuest } from './vfio-guest.ts';

const missing = missingForGuest('amd64');
const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;

const DEVICES = [
  '-blockdev',
  'null-co,node-name=disk,size=67108864',
  '-device',
  'virtio-blk-pci,drive=disk,iommu_platform=on,disable-legacy=on,addr=3',
  '-device',
  'virtio-rng-pci,iommu_platform=on,disable-legacy=on,addr=4',
];

/** What the user finds out of itself and of the devices. */
const PROGRAM = `
import { closeSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
const status = readFileSync('/proc/self/status', 'utf8');
const groups = readdirSync('/dev/vfio').filter((name) => name !== 'vfio');
for (const name of ['vfio', ...groups]) closeSync(openSync('/dev/vfio/' + name, 'r+'));
writeFileSync(process.env.TMPDIR + '/file', 'temporary');
const field = (name) => new RegExp('^' + name + ':\\\\s+(\\\\S+)', 'm').exec(status)[1];
const locked = /^Max locked memory +(\\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))[1];
console.log(JSON.stringify({ uid: field('Uid'), capabilities: field('CapBnd'), groups: groups.length, locked, folder: process.cwd() }));
process.exitCode = 5;
`;

describe.skipIf(missing !== undefined)(`a VFIO guest${skipped}`, () => {
  it('gives devices to an ordinary user without capabilities, whose program runs on the host’s files', async () => {
    const { output, status, kernelLog } = await runVfioGuest({
      devices: DEVICES,
      assigned: ['0000:00:03.0', '0000:00:04.0'],
      command: [process.execPath, '--input-type=module', '--eval', PROGRAM],
      folder: import.meta.dirname,
      lockedKiB: 4096,
    });
    expect(output).toMatch(/^{.*}$/m);
    expect(JSON.parse(/^{.*}$/m.exec(output)![0])).toEqual({
      uid: '1000',
      capabilities: '0000000000000000',
      groups: 2,
      locked: String(4096 * 1024),
      folder: import.meta.dirname,
    });
    expect(status).toBe(5);
    expect(kernelLog).toMatch(/DMAR: IOMMU enabled/);
  });

  it('says what failed before the command', async () => {
    const failing = runVfioGuest({ devices: [], assigned: ['0000:00:1e.7'], command: ['/bin/true'] });
    await expect(failing).rejects.toThrow(/0000:00:1e\.7/);
  });
});
