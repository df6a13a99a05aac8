import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import block from '@virtio-platform/device-block';
import {
  DEVICE_ADDRESSING,
  GUEST_MEMORY,
  MACHINE,
  MACHINE_REQUEST,
  openContainer,
  PLATFORM,
  type DeviceDescription,
  type DeviceTypePlugin,
  type FacilityToken,
  type InjectionToken,
  type Machine,
  type MachinePlugin,
  type MachineRequest,
  type Platform,
  type PlatformPlugin,
  type SimulatedHardware,
  type BootedMachine,
} from '@virtio-platform/core';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FULL_ADDRESSING, type DeviceAddressing, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
/** Returns the facility of a token. Throws where there is none. */
export type FacilityLookup = <T>(token: InjectionToken<T>) => T;

/** Around the platform that {@link openPlatform} opens. */
export interface OpenPlatformSettings {
  /** Guest memory, or the bytes of a new one. 4 MiB unless given. */
  readonly memory?: GuestMemory | number;
  /** What the device can do with addresses; everything unless given. */
  readonly addressing?: DeviceAddressing | undefined;
  /**
   * The facilities that the platform gets instead of the simulated ones, which `simulated` returns: a test puts an
   * observer or a failure in front of one here.
   */
  readonly facilities?: (simulated: FacilityLookup) => ReadonlyMap<FacilityToken, unknown>;
}

/** A platform over its own simulated hardware. */
export interface OpenedPlatform {
  readonly platform: Platform;
  readonly memory: GuestMemory;
  /** Bytes of guest memory that were allocated before the platform was resolved: the simulated hardware's own. */
  readonly allocated: number;
  readonly hardware: SimulatedHardware;
  /** Where {@link space} records what it refuses. */
  readonly faults: FaultLog;
  /** The address space of a device that offers ACCESS_PLATFORM. */
  readonly space: DeviceAddressSpace;
  /** The facilities of the simulated hardware, not those that {@link OpenPlatformSettings.facilities} put in front. */
  readonly facility: FacilityLookup;
  /** The mapping of the path that the platform's traits state; of queue 0 and for 64 mappings unless given. */
  readonly openMapping: (queue?: number, capacity?: number) => DmaMapping;
  /** Gives back what the platform holds. Dispose its mappings first. */
  readonly dispose: () => void;
}

/**
 * The options of a profile as the plugin gets them, through its schema. Throws a TypeError with the schema's messages.
 */
export async function checkOptions<Options>(plugin: PlatformPlugin<Options>, options: unknown): Promise<Options> {
  const result = await plugin.options['~standard'].validate(options);
  if (result.issues === undefined) return result.value;
  throw new TypeError(`${plugin.name}: ${result.issues.map(({ message }) => message).join('; ')}`);
}

/**
 * Opens a platform without a profile and a machine: simulates its hardware, and resolves the platform from a container
 * of its own, as the composition root does. `options` come from {@link checkOptions}, or from the plugin's schema.
 * Throws a TypeError where the plugin has no simulated hardware.
 */
export function openPlatform<Options>(
  plugin: PlatformPlugin<Options>,
  options: Options,
  { memory = 4 * 2 ** 20, addressing = FULL_ADDRESSING, facilities }: OpenPlatformSettings = {},
): OpenedPlatform {
  const guest = typeof memory === 'number' ? new GuestMemory(new SharedArrayBuffer(memory)) : memory;
  const hardware = plugin.simulate?.(guest, options);
  if (hardware === undefined) throw new TypeError(`${plugin.name} has no simulated hardware`);
  const { allocated } = guest;
  const simulated = openContainer();
  simulated.registerInstance(GUEST_MEMORY, guest);
  simulated.registerInstance(DEVICE_ADDRESSING, addressing);
  for (const [token, facility] of hardware.facilities) simulated.registerInstance(token, facility);
  const facility: FacilityLookup = (token) => simulated.resolve(token);
  const container = simulated.createChildContainer();
  for (const [token, inFront] of facilities?.(facility) ?? []) container.registerInstance(token, inFront);
  plugin.register(container, options);
  const platform = container.resolve(PLATFORM);
  const blueprint = hardware.addressSpace(true);
  const faults = new FaultLog();
  // A copy, as of what a worker gets: tables stay shared, everything else is the device's own.
  const space = blueprint.open(guest, faults, structuredClone(blueprint.state));
  return {
    platform,
    memory: guest,
    allocated,
    hardware,
    faults,
    space,
    facility,
    openMapping: (queue = 0, capacity = 64) => platform.openMapping(platform.traits.mappedPath, { queue, capacity }),
    dispose: () => platform.dispose(),
  };
}

/**
 * A modern device of a type that is installed as `@virtio-platform/device-<name>`, with `settings` as its schema makes
 * them, and `changes`. Throws a TypeError with the schema's messages.
 */
export function deviceDescription(
  type: DeviceTypePlugin,
  settings: unknown = {},
  changes: Partial<DeviceDescription> = {},
): DeviceDescription {
  const result = type.options['~standard'].validate(settings);
  if (result instanceof Promise) throw new TypeError(`${type.name}: the schema of its settings is asynchronous`);
  if (result.issues !== undefined)
    throw new TypeError(`${type.name}: ${result.issues.map(({ message }) => message).join('; ')}`);
  return {
    type,
    module: pathToFileURL(createRequire(import.meta.url).resolve(`@virtio-platform/device-${type.name}`)).href,
    interface: 'modern',
    driverInterface: 'modern',
    offers: undefined,
    settings: result.value,
    ...changes,
  };
}

/** A modern block device with its default settings, and `changes`. */
export function blockDescription(changes: Partial<DeviceDescription> = {}): DeviceDescription {
  return deviceDescription(block, {}, changes);
}

/** What a profile asks of a machine: a modern block device and 1 MiB of memory, with `changes`. */
export function machineRequest(changes: Partial<MachineRequest> = {}): MachineRequest {
  return {
    memory: 2 ** 20,
    device: blockDescription(),
    needs: [],
    simulate: undefined,
    baseDirectory: '/',
    ...changes,
  };
}

/** A machine as its plugin binds it, not booted, and what else the plugin bound. */
export interface BoundMachine {
  readonly machine: Machine;
  /** Resolves any token that the plugin bound. */
  readonly resolve: <T>(token: InjectionToken<T>) => T;
}

/** Binds a machine without a profile, in a container of its own. `options` come from the plugin's schema. */
export function bindMachine<Options>(
  plugin: MachinePlugin<Options>,
  options: Options,
  request: MachineRequest = machineRequest(),
): BoundMachine {
  const container = openContainer();
  container.registerInstance(MACHINE_REQUEST, request);
  plugin.register(container, options);
  return { machine: container.resolve(MACHINE), resolve: (token) => container.resolve(token) };
}

/** Boots a machine, gives it to `use`, and disposes it on every way out. */
export async function withMachine(
  machine: Machine,
  use: (booted: BootedMachine) => void | Promise<void>,
): Promise<void> {
  const booted = await machine.boot();
  try {
    await use(booted);
  } finally {
    await booted.dispose();
  }
}
