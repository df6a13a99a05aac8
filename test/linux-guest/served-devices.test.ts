import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveProfile, type ServedCommand } from '../machines/served-command.ts';
import { missingForGuest } from './guest-files.ts';
import { runLinuxGuest } from './linux-guest.ts';

const missing = missingForGuest('amd64');
const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;

const MIB = 2 ** 20;
/** A file system is in front of it, and bytes without one behind it. */
const RAW_AT = 8 * MIB;
const RAW_BYTES = 2 * MIB;
const DISCARDED_AT = 12 * MIB;
const DISCARDED_BYTES = 128 * 1024;

interface ServedToGuest {
  readonly device: Readonly<Record<string, unknown>>;
  /** QEMU's arguments; {name} is that of its socket. */
  readonly arguments: readonly string[];
}

const blockArguments = (properties: string): string[] => ['-device', `vhost-user-blk-pci,chardev={name}${properties}`];
const BLOCK = { type: 'block', capacity: '16MiB' };
const TRANSLATED = {
  ...BLOCK,
  offers: `VERSION_1 ACCESS_PLATFORM RING_PACKED RING_EVENT_IDX RING_INDIRECT_DESC IN_ORDER
    BLK_SEG_MAX BLK_FLUSH BLK_DISCARD`.split(/\s+/),
};

/**
 * Each is served by a process of its own, as on a host. QEMU 7.2 crashes in emulation with a network device or a SCSI
 * host of this kind that has MSI-X, whichever process serves it. Disks are made first, in the order of their names in
 * the guest.
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

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

function pathOf(name: string, ending: string): string {
  return join(folder.path, `${name}.${ending}`);
}

/** Of a profile that is served the device counts, and the layouts that are offered. */
function profileOf(device: ServedToGuest['device']): object {
  const kinds: Readonly<Record<string, string>> = { net: 'echo', entropy: 'read' };
  return {
    profile: 'served',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device,
    queue: { layout: 'packed' },
    workload: { kind: kinds[String(device['type'])] ?? 'write-read-verify', requests: 1, depth: 1, blockSize: '4KiB' },
  };
}

type Events = ReturnType<ServedCommand['events']>;

/** Serves everything and boots the guest; gives what was on its console, and what each device printed. */
async function bootWithServed(): Promise<{ readonly console: string; readonly events: Record<string, Events> }> {
  const served: Record<string, ServedCommand> = {};
  try {
    await Promise.all(
      Object.entries(DEVICES).map(async ([name, { device }]) => {
        const image = DISKS.includes(name) ? { image: pathOf(name, 'raw') } : {};
        served[name] = await serveProfile(folder.path, name, profileOf({ ...device, ...image }), ['--strict']);
      }),
    );
    const { console } = await runLinuxGuest({
      architecture: 'amd64',
      modules: [
        'virtio_pci',
        'virtio_blk',
        'virtio_net',
        'virtio_rng',
        'virtio_scsi',
        'sd_mod',
        'ext4',
        'crc32c_generic',
      ],
      append: 'intel_iommu=on',
      arguments: [
        '-machine',
        'q35,accel=tcg,kernel-irqchip=split',
        '-cpu',
        'max',
        '-m',
        '256M',
        '-object',
        'memory-backend-memfd,id=memory,size=256M,share=on',
        '-numa',
        'node,memdev=memory',
        '-device',
        'intel-iommu,intremap=on,caching-mode=on',
        ...Object.entries(DEVICES).flatMap(([name, { arguments: words }]) => [
          '-chardev',
          `socket,id=${name},path=${pathOf(name, 'sock')}`,
          ...words.map((word) => word.replace('{name}', name)),
        ]),
      ],
      script: SCRIPT,
    });
    const events = Object.entries(served).map(([name, device]): [string, Events] => [name, device.events()]);
    return { console, events: Object.fromEntries(events) };
  } finally {
    await Promise.all(Object.values(served).map((device) => device.end()));
  }
}

describe.skipIf(missing !== undefined)(`devices that are served to a Linux guest${skipped}`, () => {
  it('are disks with file systems, a network cable, a source of entropy and a SCSI host: split, packed, IOMMU', async () => {
    const { console, events } = await bootWithServed();
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
      const image = readFileSync(join(folder.path, `${disk}.raw`));
      const raw = image.subarray(RAW_AT, RAW_AT + RAW_BYTES);
      expect(createHash('md5').update(raw).digest('hex')).toBe(data!.slice(0, 32));
      expect(image.subarray(DISCARDED_AT, DISCARDED_AT + DISCARDED_BYTES).every((byte) => byte === 0)).toBe(true);
      // Throws where it finds anything.
      execFileSync('e2fsck', ['-f', '-n', join(folder.path, `${disk}.raw`)], { stdio: 'pipe' });
    }
    for (const [name, happened] of Object.entries(events)) {
      const ofKind = (wanted: string): Events => happened.filter(({ kind }) => kind === wanted);
      expect([name, ofKind('problem')]).toEqual([name, []]);
      // Linux breaks no rule. A table longer than the queue is advised against; it makes some of a large write.
      expect([name, ofKind('finding').filter(({ code }) => code !== 'DRV-TABLE-LONG')]).toEqual([name, []]);
      const isPacked = DEVICES[name]!.arguments.join(' ').includes('packed=on');
      expect([name, ofKind('queue-started').at(-1)?.['layout']]).toEqual([name, isPacked ? 'packed' : 'split']);
      expect([name, ofKind('negotiated').at(-1)?.['translates']]).toEqual([name, DEVICES[name]!.device === TRANSLATED]);
    }
  });
});
