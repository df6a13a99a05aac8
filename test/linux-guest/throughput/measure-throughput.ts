/**
 * `npm run guest-throughput`: a Linux guest's random requests to a disk that we serve, against one that QEMU's storage
 * daemon serves from the same file, in one run, in turns.
 *
 * With `-- --layout packed --rounds 5 --requests 4000 --poll 50 --kvm`: any of them, or none.
 */
import 'reflect-metadata';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TemporaryFolder } from '@virtio-platform/host';
import { serveProfile, type ServedCommand } from '../../machines/served-command.ts';
import { runLinuxGuest } from '../linux-guest.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '4000' },
    kvm: { type: 'boolean', default: false },
    poll: { type: 'string', default: '0' },
    layout: { type: 'string', default: 'split' },
  },
});
const SOURCE = fileURLToPath(new URL('disk-load.c', import.meta.url));
const IMAGE_BYTES = 64 << 20;
const DEPTHS = [1, 4, 16];
const KINDS = ['read', 'write'] as const;
/** In the order of the devices of the guest. */
const DISKS = ['vda', 'vdb'] as const;
type Disk = (typeof DISKS)[number];
const TIMEOUT_MS = 1_800_000;
const START_MS = 10_000;

/** Each load on each disk, one disk after the other, beginning with another one each round. */
function scriptOf(rounds: number, requests: string): string {
  const loads = KINDS.flatMap((kind) => DEPTHS.map((depth) => [kind, depth] as const));
  const lines = Array.from({ length: rounds }, (_, round) =>
    loads.flatMap(([kind, depth]) =>
      DISKS.map((_name, turn) => {
        const disk = DISKS[(turn + round) % DISKS.length]!;
        return `echo load ${disk} ${kind} ${depth} $(/disk-load /dev/${disk} ${kind} ${depth} ${requests} ${round})`;
      }),
    ),
  ).flat();
  // What the host has not read yet comes once.
  const warm = DISKS.map((disk) => `/disk-load /dev/${disk} read 16 ${requests} 99 > /dev/null`);
  return [...warm, ...lines, 'exit 0'].join('\n');
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

const folder = new TemporaryFolder();
const image = folder.pathOf('disk.raw');
writeFileSync(image, '');
truncateSync(image, IMAGE_BYTES);
const program = folder.pathOf('disk-load');
execFileSync('gcc', ['-O2', '-static', '-o', program, SOURCE], { stdio: 'inherit' });

const daemonSocket = folder.pathOf('daemon.sock');
const daemon = spawn(
  'qemu-storage-daemon',
  [
    '--blockdev',
    `driver=file,filename=${image},node-name=disk,locking=off`,
    '--export',
    `vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=${daemonSocket},writable=on`,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);
const daemonEnded = once(daemon, 'exit');
const profile = {
  profile: 'disk',
  platform: { use: '@virtio-platform/platform-legacy' },
  machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
  device: { type: 'block', capacity: IMAGE_BYTES, image },
  queue: { layout: values.layout },
  workload: { kind: 'write-read-verify', requests: 1, depth: 1, blockSize: '4KiB' },
};
let served: ServedCommand | undefined;
try {
  for (const end = performance.now() + START_MS; !existsSync(daemonSocket); await setTimeout(20))
    if (performance.now() > end) throw new Error('the storage daemon does not listen');
  served = await serveProfile(folder.pathOf('.'), 'disk', profile, ['--poll', values.poll]);
  const sockets: Readonly<Record<Disk, string>> = { vda: daemonSocket, vdb: served.socket };
  const packed = (name: string): string => (name === 'vdb' && values.layout === 'packed' ? 'on' : 'off');
  const { console: output } = await runLinuxGuest({
    architecture: 'amd64',
    modules: ['virtio_pci', 'virtio_blk'],
    files: { 'disk-load': readFileSync(program) },
    timeoutMs: TIMEOUT_MS,
    arguments: [
      '-machine',
      `q35,accel=${values.kvm ? 'kvm' : 'tcg'},memory-backend=memory`,
      '-cpu',
      values.kvm ? 'host' : 'max',
      '-object',
      'memory-backend-memfd,id=memory,size=256M,share=on',
      '-m',
      '256M',
      ...Object.entries(sockets).flatMap(([name, path]) => [
        '-chardev',
        `socket,id=${name},path=${path}`,
        '-device',
        `vhost-user-blk-pci,chardev=${name},disable-legacy=on,num-queues=1,packed=${packed(name)}`,
      ]),
    ],
    script: `chmod +x /disk-load\n${scriptOf(Number(values.rounds), values.requests)}`,
  });
  const rates = (disk: Disk, kind: string, depth: number): number[] =>
    [...output.matchAll(new RegExp(`^load ${disk} ${kind} ${depth} (\\d+)$`, 'gm'))].map(([, rate]) => Number(rate));
  console.log(`| 4 KiB, at once | the storage daemon | ours, ${values.layout} |\n|---|---|---|`);
  for (const kind of KINDS)
    for (const depth of DEPTHS) {
      const theirs = rates('vda', kind, depth);
      if (theirs.length === 0) throw new Error(`no load was measured:\n${output.slice(-2000)}`);
      const ratios = rates('vdb', kind, depth).map((rate, round) => rate / theirs[round]!);
      const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
      console.log(`| ${kind}s, ${depth} | ${median(theirs)} a second | ${median(ratios).toFixed(2)} (${spread}) |`);
    }
} finally {
  await served?.end();
  daemon.kill();
  await daemonEnded;
  folder.dispose();
}
