import { readFileSync } from 'node:fs';
import { CodedError, type DeviceTypePlugin } from '@virtio-platform/core';
import {
  installedDeviceTypes,
  loadProfiles,
  type LoadOptions,
  type Profile,
  type ProfileObject,
} from '@virtio-platform/profile';

/** The device that is to be tried: a profile, a back-end behind a socket, one that is started, or a PCI function. */
export type ConformTarget =
  | { readonly kind: 'profile'; readonly path: string }
  | { readonly kind: 'socket'; readonly path: string; readonly type?: string | undefined }
  | { readonly kind: 'command'; readonly command: readonly string[]; readonly type?: string | undefined }
  | { readonly kind: 'pci'; readonly address: string };

/** The type of a vhost-user back-end unless its owner says another one: the protocol does not tell. */
const USUAL_TYPE = 'block';

/** What most workloads have to know, and that of a balloon does not. */
const SIZED = { blockSize: '4KiB' } as const;

/** Where plugins are looked for. */
export interface TargetOptions extends LoadOptions {
  /** The package.json files whose dependencies may be device types, to find that of a PCI function. */
  readonly bases: readonly string[];
}

/** Characters of the name of a profile. */
const LONGEST_NAME = 100;
/** Guest memory of a device that no profile describes. */
const MEMORY = '16MiB';
const VENDOR = 0x1af4;
/** PCI device ids of modern devices begin here; those of transitional ones, 64 of them, begin at the other. */
const MODERN = 0x1040;
const TRANSITIONAL = 0x1000;

/** The profile of a target. */
export interface TargetProfile {
  /** Of a profile with a matrix the first run: conform varies layouts and features itself. */
  readonly profile: Profile;
  /** Runs that the profile makes. */
  readonly runs: number;
}

/** Finds it. Rejects with {@link ProfileError}, or `ERR_CONFORM_DEVICE` for a PCI address of no virtio function. */
export async function targetProfile(target: ConformTarget, options: TargetOptions): Promise<TargetProfile> {
  const source = target.kind === 'profile' ? target.path : await objectOf(target, options);
  const profiles = await loadProfiles(source, options);
  return { profile: profiles[0]!, runs: profiles.length };
}

async function objectOf(
  target: Exclude<ConformTarget, { readonly kind: 'profile' }>,
  { bases }: TargetOptions,
): Promise<ProfileObject> {
  const types = await installedDeviceTypes(bases);
  const type = target.kind === 'pci' ? typeOf(target.address, types) : (target.type ?? USUAL_TYPE);
  const workload = await workloadOf(types.find(({ name }) => name === type));
  const shared = { device: { type }, workload } as const;
  if (target.kind === 'pci') {
    return {
      ...shared,
      profile: target.address,
      platform: { use: '@virtio-platform/platform-vfio' },
      machine: { use: '@virtio-platform/machine-vfio', memory: MEMORY, device: target.address },
      driver: { privilege: 'process' },
    };
  }
  const place = target.kind === 'socket' ? { socket: target.path } : { command: target.command };
  return {
    ...shared,
    profile: nameOf(target.kind === 'socket' ? target.path : target.command[0]!),
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-vhost-user', memory: MEMORY, replyTimeout: 2000, ...place },
  };
}

/** The end of a path, as a name of a profile. */
function nameOf(path: string): string {
  return path.length <= LONGEST_NAME ? path : `…${path.slice(1 - LONGEST_NAME)}`;
}

/** A workload of the type, since a profile has one; conform never runs it. */
async function workloadOf(type: DeviceTypePlugin | undefined): Promise<NonNullable<ProfileObject['workload']>> {
  // Of a type that there is none of, only the type is wrong.
  const [[kind, workload] = ['mixed', undefined]] = Object.entries(type?.workloads ?? {});
  const usual = { kind, requests: 1, depth: 1 };
  const checked = await workload?.options['~standard'].validate(SIZED);
  return checked?.issues === undefined ? { ...usual, ...SIZED } : usual;
}

/** The short name of the device type of a PCI function, found by its ids. */
function typeOf(address: string, types: readonly DeviceTypePlugin[]): string {
  const id = virtioId(address);
  const type = id === undefined ? undefined : types.find((candidate) => candidate.id === id);
  if (type !== undefined) return type.name;
  const what = id === undefined ? 'is no virtio function of this computer' : `is a virtio device of type ${id}`;
  throw new CodedError('ERR_CONFORM_DEVICE', `the PCI function ${address} ${what}`, {
    hint: 'virtio-platform list shows the virtio devices of this computer; their types are plugins',
  });
}

function virtioId(address: string): number | undefined {
  if (!/^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/.test(address)) return undefined;
  const read = (name: string): number => {
    try {
      return Number(readFileSync(`/sys/bus/pci/devices/${address}/${name}`, 'utf8'));
    } catch {
      return 0;
    }
  };
  if (read('vendor') !== VENDOR) return undefined;
  const device = read('device');
  if (device >= MODERN) return device - MODERN;
  return device >= TRANSITIONAL ? read('subsystem_device') : undefined;
}
