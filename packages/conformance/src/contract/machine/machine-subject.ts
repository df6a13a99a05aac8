import {
  facilityName,
  type BootedMachine,
  type DeviceDescription,
  type FacilityToken,
  type MachinePlugin,
  type MachineRequest,
  type SimulatedHardware,
} from '@virtio-platform/core';
import { DirectDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { BLOCK_SETTINGS } from '@virtio-platform/device-block';
import { skipCheck } from '../../contract-check.ts';
import { bindMachine, machineRequest } from '../../testing/open-plugin.ts';
import { OFFSET, OFFSET_ADDRESS_SPACE } from './offset-space.ts';

/** A machine plugin under test, and what it is asked to boot. */
export interface MachinePluginSubject {
  readonly plugin: MachinePlugin;
  /** The options as a profile would give them, before the schema. */
  readonly options: unknown;
  /** Bytes of guest memory. */
  readonly memory: number;
  /** What differs from a modern block device. */
  readonly device: Partial<DeviceDescription>;
  /** Bytes of device configuration that the device has. */
  readonly configBytes: number;
  /** See `TransportSubject.ignoresUnoffered`. */
  readonly ignoresUnoffered?: boolean | undefined;
}

/** The settings of the block device of the checks: 1 MiB. */
const DISK = BLOCK_SETTINGS.parse({ capacity: 2 ** 20 });

/** A facility of a platform that exists in the suite only. */
export const SUITE_FACILITY: FacilityToken = Symbol.for('@virtio-platform/conformance:SuiteFacility');
/** How the checks open what the machine is asked to boot. */
export interface MachineSettings {
  /** Called in place of the suite's own hardware. */
  readonly simulate?: (memory: GuestMemory) => SimulatedHardware;
}

/** The hardware of the suite's platform: guest memory at 2^40 for every device, and one facility. */
export function suiteHardware(): SimulatedHardware {
  return {
    facilities: new Map([[SUITE_FACILITY, { of: 'the suite' }]]),
    addressSpace: () => OFFSET_ADDRESS_SPACE,
  };
}

/** Whether the machine takes the platform's hardware in software. */
export function isSimulated({ plugin }: MachinePluginSubject): boolean {
  return plugin.provides === 'simulated';
}

/** What the machine is asked to boot. */
export function requestOf(subject: MachinePluginSubject, settings: MachineSettings = {}): MachineRequest {
  const sound = machineRequest();
  return machineRequest({
    memory: subject.memory,
    device: { ...sound.device, settings: DISK, ...subject.device },
    needs: isSimulated(subject) ? [SUITE_FACILITY] : [],
    simulate: isSimulated(subject) ? (settings.simulate ?? suiteHardware) : undefined,
    baseDirectory: process.cwd(),
  });
}

/** The options as the plugin gets them. Throws a TypeError with the schema's messages. */
export async function machineOptions({ plugin, options }: MachinePluginSubject): Promise<unknown> {
  const result = await plugin.options['~standard'].validate(options);
  if (result.issues === undefined) return result.value;
  throw new TypeError(`${plugin.name}: ${result.issues.map(({ message }) => message).join('; ')}`);
}

/** Boots the subject. Skips the check where something is missing on this computer, and says what. */
export async function bootSubject(
  subject: MachinePluginSubject,
  settings: MachineSettings = {},
): Promise<BootedMachine> {
  const options = await machineOptions(subject);
  const missing = await subject.plugin.missing(options);
  if (missing.length > 0)
    skipCheck(`it cannot boot here: ${missing.map(({ what, fix }) => `${what} is missing (${fix})`).join('; ')}`);
  return bindMachine(subject.plugin, options, requestOf(subject, settings)).machine.boot();
}

/** The driver's mapping: of the suite's platform, or physical addresses on a machine that is no simulation. */
export function driverMapping(subject: MachinePluginSubject, { memory }: BootedMachine): DmaMapping {
  const capacity = 64;
  return isSimulated(subject)
    ? new DirectDmaMapping(memory, { path: 'linear', capacity, offset: OFFSET })
    : new DirectDmaMapping(memory, { path: 'physical', capacity });
}

/** The names of facilities, for messages. */
export function facilityNames(tokens: Iterable<FacilityToken>): string {
  return [...tokens].map(facilityName).join(', ');
}
