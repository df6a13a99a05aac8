import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { monitor } from '../machines/qmp-monitor.ts';
import { missingForGuest } from './guest-files.ts';
import { bootWithServed, servedImage, type ServedEvents, type ServedToGuest } from './served-guest.ts';
import { SERVED_MACHINES } from './served-machines.ts';

const RAW_BYTES = 1 << 20;
/** Where the data is: in front of it the guest counts its boots. */
const RAW_AT = 1 << 20;
/** How long the guest waits for a device that comes or goes, in seconds. */
const WAIT_S = 20;
/** How long QEMU may keep the socket of a device that the guest let go. */
const RELEASE_MS = 10_000;
const TIMEOUT_MS = 300_000;

/** The disk that is plugged out and in, and its properties. */
const PLUGGED = 'plugged';
/** By their serial numbers: the names that Linux gives them differ from boot to boot where an IOMMU comes up late. */
const DISKS = ['plain', 'packed', PLUGGED];
const disk = (serial: string): ServedToGuest['device'] => ({ type: 'block', capacity: '4MiB', serial });
const PLUGGED_PROPERTIES = { driver: 'vhost-user-blk-pci', id: PLUGGED, chardev: PLUGGED, 'disable-legacy': 'on' };

const diskArguments = (properties: string): string[] => ['-device', `vhost-user-blk-pci,chardev={name},${properties}`];

function devicesOf(hotplug: string): Readonly<Record<string, ServedToGuest>> {
  return {
    plain: { device: disk('plain'), arguments: diskArguments('disable-legacy=on') },
    packed: { device: disk('packed'), arguments: diskArguments('disable-legacy=on,packed=on') },
    [PLUGGED]: {
      device: disk(PLUGGED),
      arguments: diskArguments(`disable-legacy=on,packed=on,id=${PLUGGED},bus=${hotplug}`),
    },
    entropy: { device: { type: 'entropy' }, arguments: ['-device', 'vhost-user-rng-pci,chardev={name}'] },
  };
}

/**
 * The first boot writes, resets each disk, and sees the third one go and come, where the guest takes part in that: on
 * pseries programs beside the kernel do, so that QEMU does it at the next reset. Each later boot reads, and the last
 * one ends it.
 */
const scriptFor = (boots: number): string => `
name() {
  for block in /sys/block/vd*; do [ "$(cat $block/serial 2>/dev/null)" != $1 ] || basename $block; done
}
raw() { dd if=/dev/$(name $1) bs=64k skip=${RAW_AT / 65_536} count=${RAW_BYTES / 65_536} iflag=direct 2>/dev/null | md5sum; }
counter=/dev/$(name plain)
boot=$(($(dd if=$counter bs=512 count=1 iflag=direct 2>/dev/null | tr -d ' \\0') + 1))
printf %-512s $boot | dd of=$counter bs=512 count=1 oflag=direct conv=fsync 2>/dev/null
if [ $boot = 1 ]; then
  head -c ${RAW_BYTES} /dev/urandom > /tmp/data
  for disk in ${DISKS.join(' ')}; do
    device=$(name $disk)
    dd if=/tmp/data of=/dev/$device bs=64k seek=${RAW_AT / 65_536} oflag=direct conv=fsync 2>/dev/null
    number=$(basename $(readlink -f /sys/class/block/$device/../..))
    echo $number > /sys/bus/virtio/drivers/virtio_blk/unbind
    echo $number > /sys/bus/virtio/drivers/virtio_blk/bind
  done
fi
for disk in ${DISKS.join(' ')}; do [ -z "$(name $disk)" ] || echo boot $boot $disk $(raw $disk); done
echo boot $boot entropy $(head -c 512 /dev/hwrng | wc -c)
echo boot $boot is ready
until_block() {
  for i in $(seq ${WAIT_S * 5}); do [ $1 -n "$(name ${PLUGGED})" ] && return; usleep 200000; done
  return 1
}
if [ $boot -lt ${boots} ]; then
  if [ $boot = 1 ] && until_block !; then
    echo boot $boot is without ${PLUGGED}
    until_block '' && echo boot $boot plugged $(raw ${PLUGGED})
  fi
  [ $boot = 1 ] || sleep ${WAIT_S / 2}
  dmesg | grep -e 'I/O error' -e 'reset failed'
  reboot -f
  sleep 1000
fi
exit 0
`;

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeEach(() => {
  folder = ownTemporaryFolder();
});
afterEach(() => folder.remove());

/** Has QEMU close the socket of the disk that went, as soon as it can. */
async function closeSocket(qmp: string): Promise<void> {
  for (const end = performance.now() + RELEASE_MS; ; await setTimeout(50)) {
    try {
      await monitor(qmp, [{ execute: 'chardev-remove', arguments: { id: PLUGGED } }]);
      return;
    } catch (error) {
      if (performance.now() > end || !String(error).includes('busy')) throw error;
    }
  }
}

/** Plugs the disk in again. */
async function plug(qmp: string, bus: string): Promise<void> {
  const addr = { type: 'unix', data: { path: join(folder.path, `${PLUGGED}.sock`) } };
  const backend = { type: 'socket', data: { addr, server: false } };
  await monitor(qmp, [
    { execute: 'chardev-add', arguments: { id: PLUGGED, backend } },
    { execute: 'device_add', arguments: { ...PLUGGED_PROPERTIES, bus, packed: true } },
  ]);
}

describe.each(SERVED_MACHINES)('a guest that reboots, whose devices are served: %s', (_name, machine) => {
  const { architecture, release, hotplug } = machine;
  const missing = missingForGuest(architecture, release);
  const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;
  const takesPart = architecture === 'amd64';
  const boots = takesPart ? 2 : 3;

  it.skipIf(missing !== undefined)(
    `finds its disks as it left them, also one that was unplugged and plugged in again${skipped}`,
    async () => {
      const qmp = join(folder.path, 'qmp');
      const { console, events } = await bootWithServed({
        machine,
        devices: devicesOf(hotplug),
        arguments: ['-qmp', `unix:${qmp},server=on,wait=off`],
        folder: folder.path,
        modules: ['virtio_pci', 'virtio_blk', 'virtio_rng'],
        script: scriptFor(boots),
        timeoutMs: TIMEOUT_MS,
        reboots: true,
        during: async (until) => {
          await until('boot 1 is ready');
          await monitor(qmp, [{ execute: 'device_del', arguments: { id: PLUGGED } }]);
          await until(takesPart ? `boot 1 is without ${PLUGGED}` : 'boot 2 is ready');
          await closeSocket(qmp);
          await plug(qmp, hotplug);
        },
      });
      const line = (start: string): string | undefined => new RegExp(`^${start} (.*)$`, 'm').exec(console)?.[1];
      const data = line('boot 1 plain');
      expect(data).toMatch(/^[\da-f]{32} {1,2}-$/);
      for (let boot = 1; boot <= boots; boot++) {
        expect(line(`boot ${boot} entropy`)).toBe('512');
        for (const disk of DISKS) {
          const isGone = !takesPart && boot === 2 && disk === PLUGGED;
          expect([boot, disk, line(`boot ${boot} ${disk}`)]).toEqual([boot, disk, isGone ? undefined : data]);
        }
      }
      if (takesPart) expect(line('boot 1 plugged')).toBe(data);
      expect(console).not.toMatch(/I\/O error|reset failed/);
      for (const disk of DISKS) {
        const raw = readFileSync(servedImage(folder.path, disk)).subarray(RAW_AT, RAW_AT + RAW_BYTES);
        expect([disk, createHash('md5').update(raw).digest('hex')]).toEqual([disk, data!.slice(0, 32)]);
      }
      for (const [name, happened] of Object.entries(events)) {
        const ofKind = (wanted: string): ServedEvents => happened.filter(({ kind }) => kind === wanted);
        expect([name, ofKind('problem'), ofKind('finding')]).toEqual([name, [], []]);
        expect([name, ofKind('connected').length]).toEqual([name, name === PLUGGED ? 2 : 1]);
        expect(ofKind('queue-stopped').length).toBeGreaterThanOrEqual(boots);
      }
    },
    TIMEOUT_MS + 10_000,
  );
});
