import { setTimeout } from 'node:timers/promises';
import {
  CodedError,
  type BootedMachine,
  type DeviceCases,
  type DeviceTypePlugin,
  type OfferedDevice,
  type RequestMaker,
} from '@virtio-platform/core';
import type { DeviceFault } from '@virtio-platform/core/address-space';
import { greetDevice, resetDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping, type DmaMapping, type DmaPath, type DmaRegion } from '@virtio-platform/core/dma';
import type { FeatureSet } from '@virtio-platform/core/features';
import { negotiate } from '@virtio-platform/core/negotiation';
import { composeRun, type ComposedRun, type CompositionOptions, type Profile } from '@virtio-platform/profile';
import { addressingInput, supportedFeatures } from '@virtio-platform/session';
import type { BackEndProgram } from './back-end-program.ts';
import { CaseEnd } from '../bench/case-end.ts';
import { WatchedMemory } from '../bench/watched-memory.ts';
import { isSanitizerReport } from '../run/outcome.ts';

/** How long a bench waits for a device. Milliseconds. */
export interface Patience {
  /** Until a device that does not answer hangs. */
  readonly patienceMs: number;
  /** Until a device that has nothing to do has shown that it does nothing. */
  readonly settleMs: number;
}

/** The device of a profile, as conform drives it: how it is booted, and booted again after it is gone. */
export interface SubjectOptions extends Patience {
  readonly profile: Profile;
  readonly composition?: CompositionOptions | undefined;
  /** The back-end that {@link profile} connects to, where conform starts it. */
  readonly program?: BackEndProgram | undefined;
  /** Stands between the machine and the bench, for devices that are broken on purpose. */
  readonly wrap?: ((machine: BootedMachine) => BootedMachine) | undefined;
}

/** How long a device that is ended may take over its last reset. */
const END_MS = 100;
/** How long the end of a program may take to be known after its connection ended. */
const ENDING_MS = 200;
/** How long one may take over the report of a sanitizer, which names functions. */
const REPORT_MS = 5000;
/** Mappings of a case: its memory is one of them. */
const CAPACITY = 16;

/** A device that was booted and negotiated with once, so that it is known what may be accepted. */
export class BootedSubject {
  readonly machine: BootedMachine;
  readonly machineName: string;
  readonly type: DeviceTypePlugin;
  readonly cases: DeviceCases;
  readonly offered: OfferedDevice;
  /** Whether device addresses are guest-physical addresses. */
  readonly isPhysical: boolean;
  readonly memory: WatchedMemory;
  readonly patienceMs: number;
  readonly settleMs: number;
  /** Request number `n` of the device type, once {@link DeviceCases.open} was called. */
  request: RequestMaker = () => {
    throw new TypeError('the cases of the device type were not opened');
  };
  readonly #run: ComposedRun;
  readonly #mapping: DmaMapping;
  readonly #program: BackEndProgram | undefined;
  #messages: DmaRegion | undefined;
  /** The last of them, and how many there were. */
  #refused: DeviceFault | undefined;
  #refusals = 0;
  /** How the machine's program had ended before {@link end} ended it. */
  #endingBefore: { readonly ending: string | undefined } | undefined;

  /** Made by {@link boot}. Throws coded errors. */
  constructor(run: ComposedRun, machine: BootedMachine, options: SubjectOptions) {
    const { profile } = options;
    const { type } = profile.device;
    const { transport } = machine;
    this.#run = run;
    this.#program = options.program;
    this.machine = machine;
    this.machineName = run.machineName;
    this.type = type;
    machine.faults.watch((fault) => {
      // What the device itself met is no access.
      if (fault.cause === 'device-error') return;
      this.#refused = fault;
      this.#refusals++;
    });
    this.patienceMs = options.patienceMs;
    this.settleMs = options.settleMs;
    if (type.cases === undefined) throw untriable(`the device type ${type.name} brings no cases`);
    if (transport.interface === 'legacy') throw untriable('the profile asks for the legacy interface');
    this.cases = type.cases;
    const { accepted, path } = negotiateWith(run, machine, profile);
    this.isPhysical = path === 'physical';
    // Over PCI the register has what the driver wrote last.
    const sizes = Array.from({ length: transport.queueCount }, (_, queue) => transport.maxQueueSize(queue));
    this.offered = {
      offered: transport.readDeviceFeatures(),
      acceptable: accepted,
      isOwnOffer: profile.device.offers === undefined,
      queueCount: transport.queueCount,
      maxQueueSize: (queue) => sizes[queue] ?? transport.maxQueueSize(queue),
      machine: run.machineName,
      guestByteOrder: run.platform.guestByteOrder,
      pci: machine.pci,
    };
    this.#mapping = openMapping(run, machine, path);
    try {
      this.memory = new WatchedMemory(machine.memory, this.#mapping);
    } catch (error) {
      this.#mapping.dispose();
      throw error;
    }
  }

  /** Boots the device of a profile. Throws coded errors, or the reason of the signal; then nothing stays. */
  static async boot(options: SubjectOptions): Promise<BootedSubject> {
    await options.program?.run(options.composition?.signal);
    const run = await composeRun(options.profile, options.composition);
    try {
      return new BootedSubject(run, options.wrap?.(run.machine) ?? run.machine, options);
    } catch (error) {
      await run.dispose();
      throw error;
    }
  }

  /** Gives the device memory for its interrupts, where they are writes to memory. Before the queues are enabled. */
  receiveMessages(): void {
    const { interruptMessages } = this.machine.transport;
    if (interruptMessages === undefined) return;
    this.#messages ??= this.#mapping.allocateCoherent(interruptMessages.bytes, 4);
    interruptMessages.receiveIn(this.#messages);
  }

  /** How the program that is the device ended; `undefined` while it runs, and where the machine started none. */
  get ending(): string | undefined {
    if (this.#program !== undefined) return this.#program.ending;
    return (this.#endingBefore ?? this.machine.deviceProgram?.())?.ending;
  }

  /**
   * Whether a program that the machine started runs on, so that a device that is lost answers no more: another boot has
   * another program, and says nothing of this one.
   */
  get runsOn(): boolean {
    return this.#program === undefined && this.machine.deviceProgram !== undefined && this.ending === undefined;
  }

  /** Accesses that the platform refused so far. */
  get refusals(): number {
    return this.#refusals;
  }

  /** The end of a case in which the platform refused more accesses than `count`; `undefined` where it did not. */
  refusedSince(count: number): CaseEnd | undefined {
    const fault = this.#refused;
    if (fault === undefined || this.#refusals === count) return undefined;
    const { access, length, address, cause } = fault;
    const what = `the device asked to ${access} ${length} bytes at 0x${address.toString(16)}`;
    return new CaseEnd(
      'fail',
      `${what}, which it was not given (${cause})`,
      access === 'write' ? 'host-memory' : 'none',
    );
  }

  /** A connection ends a moment before the program that ends with it: gives the news of the program time to come. */
  async awaitEnding(): Promise<void> {
    const hasProgram = this.#program !== undefined || this.machine.deviceProgram !== undefined;
    if (!hasProgram) return;
    const start = performance.now();
    const milliseconds = (): number => (isSanitizerReport(this.errorOutput) ? REPORT_MS : ENDING_MS);
    while (this.ending === undefined && performance.now() < start + milliseconds()) await setTimeout(5);
  }

  /** The end of what the program that is the device printed on its error output. */
  get errorOutput(): string {
    return this.#program?.errorOutput ?? this.machine.deviceProgram?.().stderrTail ?? '';
  }

  /** Ends the machine. Memory of a device that did not confirm a reset is not given back before. Never throws. */
  async end(): Promise<void> {
    this.#endingBefore = { ending: this.ending };
    try {
      resetDevice(this.machine.transport, END_MS);
      this.#messages?.release();
      this.memory.release();
      this.#mapping.dispose();
    } catch {
      // A device that is gone, or hangs: its machine ends it before the memory goes.
    }
    await this.#run.dispose();
  }
}

/**
 * What a driver may accept of the device, and the path of its addresses. The device is not asked: whether it accepts
 * what it offers is what cases find out. Throws where the rules refuse.
 */
function negotiateWith(
  { platform }: ComposedRun,
  { transport, memory }: BootedMachine,
  { device, driver, policy }: Profile,
): { readonly accepted: FeatureSet; readonly path: DmaPath } {
  greetDevice(transport);
  const terms = { device, driver, policy, queue: { layout: 'packed' } } as const;
  const { accepted, refusal, path } = negotiate(
    {
      supported: supportedFeatures(terms),
      deviceFeatures: device.type.features,
      traits: platform.traits,
      privilege: driver.privilege,
      policy,
      declines: device.type.driver.declines,
      ...addressingInput(device.addressing, memory.size),
      interface: transport.interface,
      offered: transport.readDeviceFeatures(),
      carries: transport.carries,
    },
    platform.rules,
  );
  resetDevice(transport);
  if (refusal !== undefined || path === undefined)
    throw untriable(`negotiation refuses the device (${refusal?.code}): ${refusal?.reason}`);
  return { accepted, path };
}

function openMapping({ platform }: ComposedRun, machine: BootedMachine, path: DmaPath): DmaMapping {
  if (path === 'physical') return new DirectDmaMapping(machine.memory, { path, capacity: CAPACITY });
  const mapping = platform.openMapping(path, { queue: 0, capacity: CAPACITY });
  return machine.watchMapping?.(mapping) ?? mapping;
}

function untriable(why: string): CodedError {
  return new CodedError('ERR_CONFORM_DEVICE', `conform cannot try this device: ${why}`, {
    hint: 'conform tries devices with a modern interface, of types that bring cases (DeviceTypePlugin.cases)',
  });
}
