import type { DependencyContainer, InjectionToken } from 'tsyringe';
import type { AddressSpaceBlueprint } from '../address-space/device-address-space.ts';
import type { BusKind } from '../features/feature-rows.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { AddressingProblem, DeviceAddressing, MemoryRange } from '../dma/device-addressing.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { MemorySizeProblem } from '../memory/memory-size.ts';
import type { ByteOrder } from '../queue/ring/ring-format.ts';
import type { OptionsSchema } from './options-schema.ts';
/** The version of the three plugin contracts. A plugin that names another is refused: `ERR_PLUGIN_API_VERSION`. */
export const PLUGIN_API_VERSION = 1;

/**
 * The container as a plugin sees it: it may bind and not resolve, so that `register` cannot become a service locator.
 */
export type PluginRegistrar = Pick<DependencyContainer, 'register' | 'registerInstance' | 'registerSingleton'>;

/**
 * What a platform's code calls to program the hardware: a TCE table, memory conversion, a VFIO container. The
 * platform's package defines the interface and the token; machines provide it.
 */
export type FacilityToken = symbol;

/** The name of a facility in messages: the description of its token. */
export function facilityName(token: FacilityToken): string {
  return token.description ?? 'a facility without a name';
}

/** A platform's hardware in software: the facility the driver's side programs, and what a device then reaches. */
export interface SimulatedHardware {
  readonly facilities: ReadonlyMap<FacilityToken, unknown>;
  /** Byte order of the guest, which a legacy device has to know. Little-endian unless given. */
  readonly guestByteOrder?: ByteOrder;
  /** The address space of a device, by whether it *offers* ACCESS_PLATFORM. */
  addressSpace(offersAccessPlatform: boolean): AddressSpaceBlueprint;
}

/** A platform, as the default export of its package: `export default definePlatformPlugin({ ... })`. */
export interface PlatformPlugin<Options = unknown> {
  readonly kind: 'platform';
  /** Short, as it appears in reports and errors: `pseries`. */
  readonly name: string;
  readonly apiVersion: number;
  readonly options: OptionsSchema<Options>;
  /**
   * Options that the release before this one named otherwise: old name to new name, dotted below a section
   * (`iotlb.tell`). A profile with an old name is read as if it had the new one, with a warning.
   */
  readonly renamedOptions?: Readonly<Record<string, string>>;
  /**
   * Options that only `simulate` reads, each by its dotted path: `unit`, `failures.invalidation`. On a machine with
   * hardware of its own they have no effect, so a profile that gives one there is refused: `ERR_PLUGIN_OPTIONS`.
   */
  readonly simulatedOptions?: readonly string[];
  /** What a machine has to provide. */
  readonly needs: readonly FacilityToken[];
  /** What a machine has to provide beside `needs` with these options; absent where that is nothing. */
  needsWith?(options: Options): readonly FacilityToken[];
  /**
   * What it needs the requester id of the device for, with these options, as the end of a sentence that begins with the
   * platform: `finds the tables of a device by its requester id`. The platform is then refused in front of a device
   * that has none, on MMIO or channel I/O. `undefined`, or absent, where it needs none.
   */
  needsRequesterId?(options: Options): string | undefined;
  /**
   * Why a process that takes over by exec could not keep the device and its mappings, with these options, as the end of
   * a sentence that begins with the platform: `has a container that ...`; `undefined` where it can, and then the
   * platform has {@link Platform.exec}. A plugin without it has no such process.
   */
  refusesExec?(options: Options): string | undefined;
  /**
   * Why the platform cannot give such a device, in a guest with this memory, addresses that it can use, and what to do;
   * `undefined` where it can. Asked only of a device with a narrow mask, or with low bits to keep; without the
   * function such a device is refused. What the device can do is bound as {@link DEVICE_ADDRESSING}.
   */
  addressingProblem?(
    addressing: DeviceAddressing,
    memory: MemoryRange,
    options: Options,
  ): AddressingProblem | undefined;
  /** Binds {@link PLATFORM}. The container already has GUEST_MEMORY and the facilities. No I/O here. */
  register(container: PluginRegistrar, options: Options): void;
  /** The hardware in software. A plugin without it runs only on real machines. */
  simulate?(memory: GuestMemory, options: Options): SimulatedHardware;
}

/** A machine, as the default export of its package: `export default defineMachinePlugin({ ... })`. */
export interface MachinePlugin<Options = unknown> {
  readonly kind: 'machine';
  readonly name: string;
  readonly apiVersion: number;
  readonly options: OptionsSchema<Options>;
  /**
   * Options that the release before this one named otherwise: old name to new name, dotted below a section
   * (`iotlb.tell`). A profile with an old name is read as if it had the new one, with a warning.
   */
  readonly renamedOptions?: Readonly<Record<string, string>>;
  /** The facilities of its own, or `simulated` when it takes them from the platform's `simulate`. */
  readonly provides: readonly FacilityToken[] | 'simulated';
  /**
   * Why the machine does not have one of these facilities with these options, and what to do; `undefined` where it has
   * all of them. Asked of facilities that it `provides`; absent where it has each with all options. `offers` is what
   * the device offers, where that is known: a machine may have an IOMMU before such a device that none of `needs` is
   * for.
   */
  facilityProblem?(needs: readonly FacilityToken[], options: Options, offers?: FeatureSet): FacilityProblem | undefined;
  /**
   * What these options say of the hardware behind the facilities, as the options by which the platform's `simulate`
   * makes such hardware: `{ unit: { cachingMode: true } }`. They stand in for the machine where it is not started
   * (`explain`, `matrix`); absent where the options say nothing of it.
   */
  simulatedAs?(needs: readonly FacilityToken[], options: Options): Readonly<Record<string, unknown>>;
  /** What is missing on this computer to boot it with these options, with what to install; empty when nothing is. */
  missing(options: Options): Promise<readonly MissingRequirement[]>;
  /**
   * The programs that `boot` starts with these options: `['qemu-system-ppc64']`; empty where it starts none. A plugin
   * without it does not say, and `--no-programs` refuses it.
   */
  programs?(options: Options): readonly string[];
  /**
   * What is on this computer that its options could name, for lists. A machine that brings its own device has nothing
   * to tell.
   */
  discover?(): Promise<MachineDiscovery>;
  /**
   * Why the machine cannot have `memory` bytes with these options, for a platform that needs these facilities, and what
   * to do; `undefined` where it can. Without it every amount is possible that one array of bytes of this Node holds;
   * with it nothing else is checked, and `memorySizeProblem` tells that limit.
   */
  memoryProblem?(memory: number, options: Options, needs: readonly FacilityToken[]): MemorySizeProblem | undefined;
  /**
   * The guest-physical addresses of `memory` bytes with these options, where drivers do not get all from page 1 on, or
   * there is a hole.
   */
  memoryRange?(memory: number, options: Options): MemoryRange;
  /**
   * How a driver reaches the registers of the device with these options. Where a machine does not say, no platform is
   * refused because of it.
   */
  transport?(options: Options): BusKind;
  /** Binds {@link MACHINE}. The container already has MACHINE_REQUEST. No I/O here. */
  register(container: PluginRegistrar, options: Options): void;
}

/** Why a machine does not have what a platform needs. */
export interface FacilityProblem {
  readonly message: string;
  /** What to do. */
  readonly hint: string;
}

/** Hardware that a machine found, and what is missing to use any of it. */
export interface MachineDiscovery {
  readonly missing: readonly MissingRequirement[];
  readonly devices: readonly DiscoveredDevice[];
}

/** A device that options could name. */
export interface DiscoveredDevice {
  /** As options name it: `0000:00:03.0`. */
  readonly name: string;
  /** What it is: `virtio block`. */
  readonly what: string;
  /** What else there is to know, each by a word or two: `{ 'IOMMU group': '3', driver: 'vfio-pci' }`. */
  readonly details: Readonly<Record<string, string>>;
  /** What is missing to use it. */
  readonly missing: readonly MissingRequirement[];
}

/** Something a machine needs that is not installed. */
export interface MissingRequirement {
  readonly what: string;
  /** What to do, such as a command that installs it. */
  readonly fix: string;
}

/** Infers the options' type from the schema. */
export function definePlatformPlugin<Options>(plugin: PlatformPlugin<Options>): PlatformPlugin<Options> {
  return plugin;
}

/** Infers the options' type from the schema. */
export function defineMachinePlugin<Options>(plugin: MachinePlugin<Options>): MachinePlugin<Options> {
  return plugin;
}

/** A token that a compiler can check against the parameter it is injected into. */
export function token<T>(name: string): InjectionToken<T> {
  return Symbol.for(`@virtio-platform/core:${name}`);
}
