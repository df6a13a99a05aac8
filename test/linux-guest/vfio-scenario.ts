import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../command/command.ts';
import { triedRequests } from '../machines/tried-requests.ts';
import { bundleForGuest, guestNode } from './guest-bundle.ts';
import { guestDisk, guestEntropy, guestNetwork } from './guest-devices.ts';
import { runVfioGuest, type VfioGuestResult } from './vfio-guest.ts';
const CAPACITY = 16 * 2 ** 20;
/** Small, because an emulated processor fills and compares every word of it. */
export const BLOCK = 512;
export const REQUESTS = triedRequests(20_000);
/** Below what `dma_entry_limit` is, so that all of them can be made. */
const ENTRY_LIMIT = 512;
/** Of memory that the user may lock, below what `memory-lock` pins. */
const LOCKED_KIB = 2048;

/** It takes a minute, and several where others keep the processors busy. */
export const TIMEOUT_MS = 240_000;

/** Addresses by what is there. The one that is bare goes past the IOMMU. */
const DEVICE = {
  split: '0000:00:03.0',
  packed: '0000:00:05.0',
  net: '0000:00:06.0',
  entropy: '0000:00:07.0',
  bare: '0000:00:08.0',
  checks: '0000:00:09.0',
  unbound: '0000:00:0a.0',
} as const;

type DeviceName = keyof typeof DEVICE;

/** The runs that move data, with how many requests. */
export const WORK = {
  split: REQUESTS,
  packed: REQUESTS,
  'split-asking': REQUESTS,
  'packed-asking': REQUESTS,
  'type1-streaming': 1000,
  'net-split': triedRequests(5000),
  'net-packed': triedRequests(5000),
  'entropy-split': triedRequests(2000),
  'entropy-packed': triedRequests(2000),
  'exec-split': triedRequests(2000, 1 / 5),
  'exec-packed-streaming': 300,
} as const;

/** Each profile that one command runs, in order: what differs from the shipped ones. */
const RUNS = {
  split: blockRun('split', 'split', 1, ''),
  packed: blockRun('packed', 'packed', 2, ''),
  'split-asking': blockRun('split', 'split', 3, ', interrupts: isr'),
  'packed-asking': blockRun('packed', 'packed', 4, ', interrupts: isr'),
  'type1-streaming': `extends: block.yaml
machine: { device: "${DEVICE.checks}", container: type1 }
platform: { container: type1 }
driver: { buffers: streaming }
workload: { requests: 1000, blockSize: ${BLOCK} }`,
  'net-split': otherRun('net', 'split', WORK['net-split']),
  'net-packed': otherRun('net', 'packed', WORK['net-packed']),
  'entropy-split': otherRun('entropy', 'split', WORK['entropy-split']),
  'entropy-packed': otherRun('entropy', 'packed', WORK['entropy-packed']),
  'exec-split': execRun('split', WORK['exec-split'], ''),
  'exec-packed-streaming': execRun('packed', WORK['exec-packed-streaming'], 'driver: { buffers: streaming }'),
  bare: `extends: block.yaml
machine: { device: "${DEVICE.bare}" }
expect: { outcome: refused, refusal: EPERM }`,
  'memory-lock': `extends: block.yaml
machine: { device: "${DEVICE.split}" }
workload: { requests: 200, depth: 128, blockSize: 64KiB }
expect: { outcome: failed, path: translated }`,
} as const;

function blockRun(device: DeviceName, layout: string, seed: number, more: string): string {
  return `extends: block.yaml
machine: { device: "${DEVICE[device]}"${more} }
queue: { layout: ${layout} }
workload: { requests: ${REQUESTS}, blockSize: ${BLOCK}, seed: ${seed} }`;
}

/**
 * The memory of the process gets other addresses while the device works, three times; and another device is in the
 * container.
 */
function execRun(layout: string, requests: number, more: string): string {
  return `extends: block.yaml
machine: { device: "${DEVICE.checks}", sharesWith: ["${DEVICE.entropy}"] }
queue: { layout: ${layout} }
${more}
workload:
  requests: ${requests}
  blockSize: ${BLOCK}
  disruptions: [{ after: 100, do: exec }, { after: 101, do: exec }, { after: ${requests / 2}, do: exec }]`;
}

function otherRun(type: 'net' | 'entropy', layout: string, requests: number): string {
  return `extends: ${type}.yaml
machine: { device: "${DEVICE[type]}" }
queue: { layout: ${layout} }
workload: { requests: ${requests} }`;
}

/** Of the root bus, as QEMU has it: `03`. */
function slotOf(name: DeviceName): string {
  return DEVICE[name].slice(8, 10);
}

function devices(folder: string): string[] {
  const disks = (['split', 'packed', 'bare', 'checks', 'unbound'] as const).flatMap((name) =>
    guestDisk(folder, { name, slot: slotOf(name), bytes: CAPACITY, isConfined: name !== 'bare' }),
  );
  return [...disks, ...guestNetwork(folder, slotOf('net')), ...guestEntropy(slotOf('entropy'))];
}

/** A shipped profile, without its variants. */
function shipped(name: string): string {
  return (
    readFileSync(join(ROOT, 'profiles/vfio-device', name), 'utf8')
      .replace(/^matrix:[^]*/m, '')
      // A computer that is busy with other things is no device that stalls.
      .replace('privilege: process', 'privilege: process, timeout: 30s')
  );
}

function writeProfiles(folder: string): void {
  for (const name of ['block.yaml', 'net.yaml', 'entropy.yaml']) writeFileSync(join(folder, name), shipped(name));
  for (const [name, yaml] of Object.entries(RUNS))
    writeFileSync(join(folder, `run-${name}.yaml`), `profile: ${name}\n${yaml}\n`);
  for (const [name, device] of [
    ['refused', DEVICE.bare],
    ['unbound', DEVICE.unbound],
  ] as const)
    writeFileSync(
      join(folder, `${name}.yaml`),
      `extends: block.yaml\nprofile: ${name}\nmachine: { device: "${device}" }\n`,
    );
}

function script(folder: string): string {
  const main = guestNode(folder, 'main');
  const commands = {
    checks: `${guestNode(folder, 'vfio-checks')} ${DEVICE.checks} ${DEVICE.entropy}`,
    runs: `${main} run ${Object.keys(RUNS)
      .map((name) => `run-${name}.yaml`)
      .join(' ')} --json`,
    refused: `${main} run refused.yaml`,
    unbound: `${main} run unbound.yaml`,
    list: `${main} list`,
    user: 'cat /proc/self/status',
  };
  // Through a pipe: what is no terminal is shown no progress.
  return Object.entries(commands)
    .map(([name, command]) => `echo begin ${name}; (${command} </dev/null; echo end ${name} $?) 2>&1 | cat`)
    .join('\n');
}

/**
 * Boots one guest that has all of these devices, and runs the command there as an ordinary user: once for all profiles,
 * and once for each that it is to refuse. Images and profiles are in `folder` afterwards.
 */
export async function runVfioScenario(folder: string): Promise<VfioGuestResult> {
  await bundleForGuest(folder, {
    plugins: ['platform-vfio', 'machine-vfio', 'device-block', 'device-net', 'device-entropy'],
    programs: { main: 'packages/cli/src/main.ts', 'vfio-checks': 'test/linux-guest/vfio-checks.ts' },
  });
  writeProfiles(folder);
  // The command looks there for what it ships: nothing.
  mkdirSync(join(folder, 'profiles'));
  const { unbound: _unbound, ...bound } = DEVICE;
  return await runVfioGuest({
    devices: devices(folder),
    assigned: Object.values(bound),
    prepare: `echo ${ENTRY_LIMIT} > /sys/module/vfio_iommu_type1/parameters/dma_entry_limit`,
    lockedKiB: LOCKED_KIB,
    folder,
    environment: { NO_COLOR: '1' },
    command: ['/bin/sh', '-c', script(folder)],
    timeoutMs: TIMEOUT_MS,
  });
}
