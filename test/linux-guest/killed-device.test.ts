import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KilledDisk } from '../killed-disk.ts';
import { numbersOf } from '../seeded-numbers.ts';
import { missingForGuest } from './guest-files.ts';
import { runLinuxGuest } from './linux-guest.ts';

const missing = missingForGuest('amd64');
const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;

/** How often each disk is killed: 100 times with `npm run reconnect`. */
const KILLS = Number(process.env['RECONNECTS'] ?? 1);
/** Milliseconds that a disk works before it is killed, at most. QEMU reconnects a second after that. */
const LONGEST_LIFE_MS = 700;
/** Every other time it kills itself instead of notifying the guest, after at most so many notifications. */
const MOST_CALLS = 40;
const CAPACITY = 8 << 20;
const PART_BYTES = 256 << 10;
const PARTS = CAPACITY / PART_BYTES;
/** From when on the guest writes, and what a kill and all behind it take at most. */
const [BOOT_MS, KILL_MS] = [110_000, 5000];
/** What the start of four processes takes on a busy computer. */
const START_MS = 30_000;
const GUEST_MS = BOOT_MS + KILLS * KILL_MS;
interface KilledKind {
  readonly layout: 'split' | 'packed';
  /** Behind an IOMMU. */
  readonly isTranslated: boolean;
}
/** The disks that are killed. */
const DISKS: Readonly<Record<string, KilledKind>> = {
  vda: { layout: 'split', isTranslated: false },
  vdb: { layout: 'packed', isTranslated: false },
  vdc: { layout: 'split', isTranslated: true },
  vdd: { layout: 'packed', isTranslated: true },
};
/** VERSION_1, RING_PACKED, EVENT_IDX, INDIRECT_DESC, and of a block device SEG_MAX and FLUSH. */
const FEATURES = [32, 34, 29, 28, 2, 9].reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
const [RING_PACKED, ACCESS_PLATFORM] = [1n << 34n, 1n << 33n];

/**
 * Writes parts of all disks over and over, each with other bytes and on to the image, until the last disk ends it.
 * Whatever dd acknowledged has to be there in the end.
 */
const SCRIPT = `
write() {
  head -c ${PART_BYTES} /dev/urandom > /tmp/$1.data
  dd if=/tmp/$1.data of=/dev/$1 bs=64k seek=$(($2 * ${PART_BYTES / 65_536})) oflag=direct conv=fsync 2>/tmp/$1.dd || { echo $1 failed; cat /tmp/$1.dd; }
  md5sum < /tmp/$1.data > /tmp/$1.$2
}
work() {
  i=0
  while ! dd if=/dev/vde bs=512 count=1 iflag=direct 2>/dev/null | grep -q end; do
    write $1 $((i % ${PARTS}))
    i=$((i + 1))
  done
  echo $1 written $i
  for part in $(seq 0 ${PARTS - 1}); do
    [ -e /tmp/$1.$part ] || continue
    echo $1 part $part $(cat /tmp/$1.$part)
    dd if=/dev/$1 bs=64k skip=$((part * ${PART_BYTES / 65_536})) count=${PART_BYTES / 65_536} iflag=direct 2>/dev/null | md5sum | cmp - /tmp/$1.$part || echo $1 differs at $part
  done
}
${Object.keys(DISKS)
  .map((name) => `work ${name} &`)
  .join(' ')} wait
dmesg | grep -e 'I/O error' -e 'blocked for more'
exit 0
`;

const onOff = (is: boolean): string => (is ? 'on' : 'off');

let folder: ReturnType<typeof ownTemporaryFolder>;
beforeAll(() => {
  folder = ownTemporaryFolder();
});
afterAll(() => folder.remove());

const pathOf = (name: string, ending: string): string => join(folder.path, `${name}.${ending}`);

function openDisk(name: string, { layout, isTranslated }: KilledKind, lastCall?: number): KilledDisk {
  const features = layout === 'split' ? FEATURES & ~RING_PACKED : FEATURES;
  return new KilledDisk({
    socket: pathOf(name, 'sock'),
    image: pathOf(name, 'raw'),
    capacity: CAPACITY,
    layout,
    features: isTranslated ? features | ACCESS_PLATFORM : features,
    ...(lastCall === undefined ? {} : { lastCall }),
  });
}

/** Waits until the script of the guest writes to a disk: the firmware and the kernel only read. */
async function untilWritten(name: string): Promise<void> {
  const isWritten = (): boolean =>
    readFileSync(pathOf(name, 'raw'))
      .subarray(0, 512)
      .some((byte) => byte !== 0);
  for (const end = performance.now() + BOOT_MS; !isWritten(); await setTimeout(20))
    if (performance.now() > end) throw new Error(`the guest did not write to ${name} in ${BOOT_MS} ms`);
}

/** A disk that is served over and over. */
class Reborn {
  readonly events: string[] = [];
  readonly #name: string;
  readonly #kind: KilledKind;
  #disk: KilledDisk;

  constructor(name: string, kind: KilledKind) {
    this.#name = name;
    this.#kind = kind;
    this.#disk = openDisk(name, kind);
  }

  /** Kills the disk and serves it again, a number of times, while the guest writes to it. */
  async kill(): Promise<void> {
    const random = numbersOf(KILLS + this.#kind.layout.length);
    await untilWritten(this.#name);
    for (let kill = 0; kill < KILLS; kill++) {
      const killsItself = kill % 2 === 1;
      if (killsItself) await this.#disk.untilDead();
      else {
        await this.#disk.until('queue-started');
        await setTimeout(random(LONGEST_LIFE_MS));
        await this.#disk.end('SIGKILL');
      }
      this.events.push(...this.#disk.events);
      const isLast = killsItself || kill === KILLS - 1;
      this.#disk = openDisk(this.#name, this.#kind, isLast ? undefined : 1 + random(MOST_CALLS));
    }
    await this.#disk.until('queue-started');
  }

  async end(): Promise<void> {
    await this.#disk.end('SIGTERM');
    this.events.push(...this.#disk.events);
  }
}

/** Boots a guest whose disks are killed and served again. Gives its console, and what happened to each disk. */
async function bootWithKilled(): Promise<{ readonly console: string; readonly disks: Record<string, Reborn> }> {
  const control = pathOf('control', 'raw');
  writeFileSync(control, Buffer.alloc(4096));
  const disks = Object.fromEntries(Object.entries(DISKS).map(([name, kind]) => [name, new Reborn(name, kind)]));
  try {
    for (const name of Object.keys(DISKS)) await untilServed(name);
    const guest = runLinuxGuest({
      architecture: 'amd64',
      modules: ['virtio_pci', 'virtio_blk'],
      append: 'intel_iommu=on',
      timeoutMs: GUEST_MS,
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
        ...Object.entries(DISKS).flatMap(([name, { layout, isTranslated }]) => [
          '-chardev',
          `socket,id=${name},path=${pathOf(name, 'sock')},reconnect=1`,
          '-device',
          `vhost-user-blk-pci,chardev=${name},disable-legacy=on,packed=${onOff(layout === 'packed')},iommu_platform=${onOff(isTranslated)}`,
        ]),
        '-drive',
        `file=${control},format=raw,if=none,id=control,cache=none,file.locking=off`,
        '-device',
        'virtio-blk-pci,drive=control',
      ],
      script: SCRIPT,
    });
    const killed = Promise.all(Object.values(disks).map((disk) => disk.kill()));
    // The guest is told to end also where a disk failed, and says more than the disk.
    const end = (): void => writeFileSync(control, Buffer.from('end'.padEnd(4096)));
    await Promise.race([killed, guest]).finally(end);
    const { console } = await guest;
    await killed;
    return { console, disks };
  } finally {
    await Promise.all(Object.values(disks).map((disk) => disk.end()));
  }
}

async function untilServed(name: string): Promise<void> {
  for (const end = performance.now() + START_MS; !existsSync(pathOf(name, 'sock')); await setTimeout(20))
    if (performance.now() > end) throw new Error(`${name} is not served`);
}

describe.skipIf(missing !== undefined)(`disks of a Linux guest that are killed${skipped}`, () => {
  it(
    `are there again ${KILLS} times, and the guest goes on: no acknowledged byte is lost, split and packed, behind an IOMMU too`,
    async () => {
      const { console, disks } = await bootWithKilled();
      expect(console).not.toMatch(/^vd. (failed|differs)|I\/O error|blocked for more/m);
      for (const [name, { events }] of Object.entries(disks)) {
        expect([name, events.filter((event) => event.startsWith('problem'))]).toEqual([name, []]);
        expect(events.filter((event) => event.startsWith('connected')).length).toBe(KILLS + 1);
        const parts = [...console.matchAll(new RegExp(`^${name} part (\\d+) ([\\da-f]{32})`, 'gm'))];
        expect(parts.length).toBeGreaterThan(0);
        const image = readFileSync(pathOf(name, 'raw'));
        for (const [, part, sum] of parts) {
          const bytes = image.subarray(Number(part) * PART_BYTES, (Number(part) + 1) * PART_BYTES);
          expect([name, part, createHash('md5').update(bytes).digest('hex')]).toEqual([name, part, sum]);
        }
      }
    },
    GUEST_MS + BOOT_MS,
  );
});
