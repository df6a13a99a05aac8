import { dirname, resolve } from 'node:path';
import { CodedError, isCodedError, type ConformCase, type DeviceCases } from '@virtio-platform/core';
import { VIRTIO_F_RING_PACKED } from '@virtio-platform/core/features';
import type { Profile } from '@virtio-platform/profile';
import { casesOf } from '../cases/all-cases.ts';
import { PCI_CASES } from '../cases/pci/all-pci-cases.ts';
import { PROTOCOL_CASES } from '../cases/protocol/all-protocol-cases.ts';
import type { BackEndProgram } from '../device/back-end-program.ts';
import type { BootedSubject } from '../device/booted-subject.ts';
import { fuzzDevice, type FuzzOptions, type FuzzResult, type Sample } from '../operations/fuzz-run.ts';
import type { Operation, OperationFile } from '../operations/operation.ts';
import { plannedOperations } from '../operations/operation-cases.ts';
import { shrinkOperations } from '../operations/shrink-operations.ts';
import type { ProtocolCase } from '../protocol/protocol-case.ts';
import { ProtocolRun } from '../protocol/protocol-run.ts';
import type { CaseResult } from './case-result.ts';
import { crashOf } from './outcome.ts';
import { describeDevice, type DeviceReport } from './conform-report.ts';
import { ConformRun, type ConformRunOptions } from './conform-run.ts';
import { matchesFilter, planCases, type PlannedCase } from './planned-case.ts';

/** The cases of a device: those that its driver tries, and those that the front-end of its back-end tries. */
export interface TrialPlan {
  readonly cases: readonly PlannedCase[];
  readonly protocolCases: readonly PlannedCase<ProtocolCase>[];
}

/** What a device is tried with. */
export interface TrialOptions extends Omit<ConformRunOptions, 'cases'> {
  readonly plan: TrialPlan;
  /** The program that is the device, with its version, where it is known. */
  readonly backEnd?: string | undefined;
}

/** How long the run of random operations is, and from what it follows. */
export interface RandomOptions {
  readonly seed?: number | undefined;
  readonly operations?: number | undefined;
}

/** The cases for the device of a profile whose id `isWanted`. */
export function planTrial(
  profile: Profile,
  isWanted: (id: string) => boolean = () => true,
  { seed, operations }: RandomOptions = {},
): TrialPlan {
  const protocol = speaksVhostUser(profile) ? PROTOCOL_CASES : [];
  const pci = isPciFunction(profile) ? PCI_CASES : [];
  return {
    cases: planCases([...casesOf(profile.device.type, seed, operations), ...pci]).filter(({ id }) => isWanted(id)),
    protocolCases: planCases(protocol).filter(({ id }) => isWanted(id)),
  };
}

/** The cases for the device of a profile that match a filter; all without one. */
export function filterTrial(profile: Profile, filter?: string, random?: RandomOptions): TrialPlan {
  return planTrial(profile, filter === undefined ? undefined : (id) => matchesFilter(id, filter), random);
}

/** The plan that takes the steps of a file. Throws `ERR_CONFORM_OPERATIONS` for those of another device type. */
export function planReplay({ device }: Profile, { type, layout, operations }: OperationFile): TrialPlan {
  if (type !== device.type.name)
    throw new CodedError('ERR_CONFORM_OPERATIONS', `the operations are those of a ${type} device`, {
      hint: `the device is of type ${device.type.name}`,
    });
  const planned = plannedOperations(`replay/${layout}`, layout, operations, device.type.cases?.openModel);
  return { cases: [planned], protocolCases: [] };
}

/** All cases of a plan, in their order. */
export function plannedCases({ cases, protocolCases }: TrialPlan): readonly PlannedCase<ConformCase | ProtocolCase>[] {
  return [...cases, ...protocolCases];
}

/** Whether the device of a profile is behind the vhost-user protocol. */
export function speaksVhostUser({ machine }: Profile): boolean {
  return machine.use.endsWith('machine-vhost-user');
}

/** Whether the device of a profile is a PCI function, whose registers are tried too. */
export function isPciFunction({ machine }: Profile): boolean {
  const isOnMmio = ['microvm', 'virt'].some((board) => board === machine.options['board']);
  return !isOnMmio && ['machine-qemu', 'machine-vfio'].some((name) => machine.use.endsWith(name));
}

/** Tries one device: first as its driver, then as the front-end of its back-end. */
export class DeviceTrial {
  readonly #options: TrialOptions;
  #run: ConformRun;

  constructor(options: TrialOptions) {
    this.#options = options;
    this.#run = this.#runOn(apart(options.profile));
  }

  /** Boots the device, and says what it is. Throws coded errors, and the reason of the signal. */
  async boot(): Promise<DeviceReport> {
    try {
      return describeDevice(await this.#bootAnywhere(), this.#options.backEnd);
    } catch (error) {
      throw await this.#withEnding(error);
    }
  }

  /** What a back-end that did not even start well printed says more than that its connection ended. */
  async #withEnding(error: unknown): Promise<unknown> {
    const { program } = this.#options;
    if (program === undefined || !isCodedError(error) || error.code !== 'ERR_DEVICE_LOST') return error;
    await program.mayHaveEnded();
    const crash = crashOf(program.ending, program.errorOutput);
    if (crash === undefined) return error;
    const { code, message, hint } = error;
    return new CodedError(code, `${message}; ${crash}`, { ...(hint !== undefined && { hint }), cause: error });
  }

  /** Runs all cases. Throws the reason of the signal, and coded errors where the device cannot be booted at all. */
  async run(): Promise<readonly CaseResult[]> {
    const { plan, profile, program, patienceMs, settleMs, onResult, known, composition } = this.#options;
    const results = await this.#run.run();
    if (plan.protocolCases.length === 0) return results;
    // A back-end serves one front-end at a time.
    await this.#run.end();
    await program?.mayHaveEnded();
    const run = new ProtocolRun({
      type: profile.device.type,
      socket: socketOf(profile, program),
      program,
      cases: plan.protocolCases,
      patienceMs,
      settleMs,
      onResult,
      known,
      signal: composition?.signal,
    });
    try {
      return [...results, ...(await run.run())];
    } finally {
      run.end();
    }
  }

  /** A platform may have no way into another thread; then the device is in this one. */
  async #bootAnywhere(): Promise<BootedSubject> {
    try {
      return await this.#run.boot();
    } catch (error) {
      const { profile } = this.#options;
      if (!isCodedError(error) || error.code !== 'ERR_PLUGIN_FACILITY' || apart(profile) === profile) throw error;
      this.#run = this.#runOn(profile);
      return await this.#run.boot();
    }
  }

  #runOn(profile: Profile): ConformRun {
    return new ConformRun({ ...this.#options, profile, cases: this.#options.plan.cases });
  }

  /** Fuzzes the device. Throws the reason of the signal, and coded errors where it cannot be booted at all. */
  async fuzz(options: Omit<FuzzOptions, 'layouts' | 'openModel' | 'runOne'>): Promise<FuzzResult> {
    const { offered } = await this.#bootAnywhere();
    const layouts = offered.acceptable.has(VIRTIO_F_RING_PACKED)
      ? (['split', 'packed'] as const)
      : (['split'] as const);
    return await fuzzDevice({ ...options, layouts, openModel: this.#openModel, runOne: this.#runOne });
  }

  /** The fewest operations of some after which the device still has the verdict that it has after all of them. */
  async shrink({ layout, operations }: Sample): Promise<Sample> {
    const verdictOf = async (some: readonly Operation[]): Promise<string> =>
      (await this.#runOne(plannedOperations('random/shrunk', layout, some, this.#openModel))).verdict;
    const verdict = await verdictOf(operations);
    if (verdict === 'pass') return { layout, operations };
    const fewest = await shrinkOperations(operations, async (some) => (await verdictOf(some)) === verdict);
    return { layout, operations: fewest };
  }

  get #openModel(): DeviceCases['openModel'] {
    return this.#options.profile.device.type.cases?.openModel;
  }

  readonly #runOne = async (planned: PlannedCase): Promise<CaseResult> => {
    this.#options.composition?.signal?.throwIfAborted();
    return await this.#run.runOne(planned);
  };

  /** Ends the device. */
  async end(): Promise<void> {
    await this.#run.end();
  }
}

/** An embedded device in a thread of its own: one that never returns keeps its thread, and not the command. */
function apart(profile: Profile): Profile {
  const { machine } = profile;
  if (!machine.use.endsWith('machine-simulated') || machine.options['device'] !== undefined) return profile;
  return { ...profile, machine: { ...machine, options: { ...machine.options, device: 'worker' } } };
}

function socketOf({ machine, file }: Profile, program: BackEndProgram | undefined): string {
  if (program !== undefined) return program.socket;
  const { socket } = machine.options;
  if (typeof socket !== 'string') throw new TypeError('a vhost-user profile has a socket or a command');
  return resolve(dirname(file), socket);
}
