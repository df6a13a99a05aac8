import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { missingForGuest } from './guest-files.ts';
import { bootWithServed, DEVICE_MODULES, servedImage, type ServedEvents, type ServedToGuest } from './served-guest.ts';
import { SERVED_MACHINES } from './served-machines.ts';

const MIB = 2 ** 20;
/** A file system is in front of it, and bytes without one behind it. */
const RAW_AT = 8 * MIB;
const RAW_BYTES = 2 * MIB;
/** Of a guest on a busy computer. */
const TIMEOUT_MS = 300_000;
const DISCARDED_AT = 12 * MIB;
const DISCARDED_BYTES = 128 * 1024;

const blockArguments = (properties: string): string[] => ['-device', `vhost-user-blk-pci,chardev={name}${properties}`];
const BLOCK = { type: 'block', capacity: '16MiB' };
const TRANSLATED = {
  ...BLOCK,
  offers: [
    'VERSION_1',
    'ACCESS_PLATFORM',
    'RING_PACKED',
    'RING_EVENT_IDX',
    'RING_INDIRECT_DESC',
    'IN_ORDER',
    'BLK_SEG_MAX',
    'BLK_FLUSH',
    'BLK_DISCARD',
  ],
};

/**
 * QEMU 7.2 crashes in emulation with a network device or a SCSI host of this kind that has MSI-X, whichever process
 * serves it. Disks are made first, in the order of their names in the guest.
 */
const DEVICES: Readonly<Record<string, ServedToGuest>> = {
  vda: { device: BLOCK, arguments: blockArguments(',disable-legacy=on') },
  vdb: {
    device: { ...BLOCK, queues: 2 },
    arguments: blockArguments(',disable-legacy=on,packed=on,num-queues=2,queue-size=256'),
  },
  vdc: { device: TRANSLATED, arguments: blockArguments(',disable-legacy=on,packed=on,iommu_platform=on') },
  vdd: { device: TRANSLATED, arguments: blockArguments(',disable-legacy=on,iommu_platform=on') },
  net: {
    device: { type: 'net' },
    arguments: [
      '-netdev',
      'vhost-user,chardev={name},id=cable',
      '-device',
      'virtio-net-pci,netdev=cable,packed=on,disable-legacy=on,romfile=,vectors=0',
    ],
  },
  entropy: { device: { type: 'entropy' }, arguments: ['-device', 'vhost-user-rng-pci,chardev={name}'] },
  scsi: { device: { type: 'scsi' }, arguments: ['-device', 'vhost-user-scsi-pci,chardev={name},vectors=0'] },
};
const DISKS = Object.keys(DEVICES).filter((name) => name.startsWith('vd'));

const SCRIPT = `
head -c ${RAW_BYTES} /dev/urandom > /tmp/data
echo data $(md5sum < /tmp/data)
raw() { dd if=/dev/$1 bs=64k skip=${RAW_AT / 65_536} count=${RAW_BYTES / 65_536} iflag=direct 2>/dev/null | md5sum; }
for disk in ${DISKS.join(' ')} sda; do
  dd if=/tmp/data of=/dev/$disk bs=64k seek=${RAW_AT / 65_536} oflag=direct conv=fsync 2>/dev/null
  echo $disk raw $(raw $disk)
done
for disk in ${DISKS.join(' ')}; do
  mke2fs -F /dev/$disk ${RAW_AT / 1024} > /dev/null && mkdir -p /m/$disk && mount -t ext4 /dev/$disk /m/$disk || echo $disk failed
  for i in $(seq 20); do cp /script /m/$disk/$i; done
  rm /m/$disk/1?; cp /bin/busybox /m/$disk/; sync; umount /m/$disk; echo 3 > /proc/sys/vm/drop_caches
  blkdiscard -o ${DISCARDED_AT} -l ${DISCARDED_BYTES} /dev/$disk || echo $disk discards nothing
  number=$(basename $(readlink -f /sys/class/block/$disk/../..))
  echo $number > /sys/bus/virtio/drivers/virtio_blk/unbind
  echo $number > /sys/bus/virtio/drivers/virtio_blk/bind
  mount -t ext4 -o ro /dev/$disk /m/$disk; cmp /bin/busybox /m/$disk/busybox && echo $disk files $(ls /m/$disk | wc -l); umount /m/$disk
  echo $disk after its reset $(raw $disk)
done
echo entropy $(cat /sys/class/misc/hw_random/rng_current) $(head -c 4096 /dev/hwrng | wc -c)
# A cable that gives back what is sent: each of two addresses of the guest is reached through it.
for name in accept_local=1 rp_filter=0; do echo \${name#*=} > /proc/sys/net/ipv4/conf/all/\${name%=*}; done
echo 0 > /proc/sys/net/ipv4/conf/eth0/rp_filter
ip link set lo up; ip link set eth0 up
ip addr add 10.9.0.1/24 dev eth0; ip addr add 10.9.0.2/24 dev eth0
ip route add 10.9.0.0/24 dev eth0 table 50
ip rule add pref 1 iif lo lookup 50; ip rule add pref 10 lookup local; ip rule del pref 0
ping -c 2 -W 2 10.9.0.2 | grep received
httpd -p 10.9.0.2:80 -h /tmp
wget -q -O /tmp/got http://10.9.0.2/data; echo net $(md5sum < /tmp/got)
echo packets $(cat /sys/class/net/eth0/statistics/rx_bytes)
dmesg | grep -e 'I/O error' -e 'EXT4-fs error' -e 'reset failed'
exit 0
`;

/** Whether an event is the finding of an indirect table that is longer than the queue. */
const isLongTable = (event: ServedEvents[number]): boolean =>
  JSON.stringify(event['finding']).includes('"code":"DRV-TABLE-LONG"');

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeEach(() => {
  folder = ownTemporaryFolder();
});
afterEach(() => folder.remove());

describe.each(SERVED_MACHINES)('devices that are served to Linux: %s', (_name, machine) => {
  const missing = missingForGuest(machine.architecture, machine.release);
  const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;

  it.skipIf(missing !== undefined)(
    `are disks with file systems, a network cable, a source of entropy and a SCSI host: split, packed, IOMMU${skipped}`,
    async () => {
      const modules = [...DEVICE_MODULES, 'ext4', 'crc32c_generic'];
      const { console, events } = await bootWithServed({
        machine,
        devices: DEVICES,
        folder: folder.path,
        modules,
        script: SCRIPT,
        timeoutMs: TIMEOUT_MS,
      });
      const line = (start: string): string | undefined => new RegExp(`^${start} (.*)$`, 'm').exec(console)?.[1];
      const data = line('data');
      expect(data).toMatch(/^[\da-f]{32} {1,2}-$/);
      for (const disk of [...DISKS, 'sda']) expect([disk, line(`${disk} raw`)]).toEqual([disk, data]);
      for (const disk of DISKS) {
        expect([disk, line(`${disk} files`)]).toEqual([disk, '12']);
        expect([disk, line(`${disk} after its reset`)]).toEqual([disk, data]);
      }
      expect(console).not.toMatch(/^vd. (failed|discards nothing)$|I\/O error|EXT4-fs error/m);
      expect(line('entropy virtio_rng.0')).toBe('4096');
      expect(console).toMatch(/2 packets transmitted, 2 packets received/);
      expect(line('net')).toBe(data);
      expect(Number(line('packets'))).toBeGreaterThan(RAW_BYTES);

      for (const disk of DISKS) {
        const image = readFileSync(servedImage(folder.path, disk));
        const raw = image.subarray(RAW_AT, RAW_AT + RAW_BYTES);
        expect(createHash('md5').update(raw).digest('hex')).toBe(data!.slice(0, 32));
        expect(image.subarray(DISCARDED_AT, DISCARDED_AT + DISCARDED_BYTES).every((byte) => byte === 0)).toBe(true);
        // Throws where it finds anything.
        execFileSync('e2fsck', ['-f', '-n', servedImage(folder.path, disk)], { stdio: 'pipe' });
      }
      for (const [name, happened] of Object.entries(events)) {
        const ofKind = (wanted: string): ServedEvents => happened.filter(({ kind }) => kind === wanted);
        expect([name, ofKind('problem')]).toEqual([name, []]);
        // Linux breaks no rule. A table longer than the queue is advised against; it makes some of a large write.
        expect([name, ofKind('finding').filter((event) => !isLongTable(event))]).toEqual([name, []]);
        const isPacked = DEVICES[name]!.arguments.join(' ').includes('packed=on');
        expect([name, ofKind('queue-started').at(-1)?.['layout']]).toEqual([name, isPacked ? 'packed' : 'split']);
        expect([name, ofKind('negotiated').at(-1)?.['translates']]).toEqual([
          name,
          DEVICES[name]!.device === TRANSLATED,
        ]);
      }
    },
    TIMEOUT_MS + 10_000,
  );
});
