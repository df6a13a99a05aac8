import type { DeviceFault } from '../address-space/fault-log.ts';
import type { AddressRange } from '../dma/address-range.ts';
import type { DmaMapping, DmaPath, MappingRequest } from '../dma/dma-mapping.ts';
import type { IommuDomain } from '../dma/iommu/iommu-domain.ts';
import type { LeakLog } from '../memory/leak-log.ts';
import type { NegotiationRule } from '../negotiation/negotiation.ts';
import type { MappingSteps, PlatformTraits } from '../negotiation/platform-traits.ts';
import type { ByteOrder } from '../queue/ring/ring-format.ts';
import { failureStatistics, type Platform, type PlatformStatistics } from './platform.ts';

/** What mapping does in a domain whose device addresses are physical ones. */
export const IDENTITY_STEPS: Omit<MappingSteps, 'access'> = {
  map: 'The domain leads each address to itself, so the device gets the physical address and no entry changes.',
  unmap: 'No entry changes: the device could still reach the bytes.',
  region: 'The region keeps its physical address, and no entry changes.',
  release: 'The memory goes back to the guest; no entry changes.',
};

/** What one kind of IOMMU says of a device in a domain of one kind. */
export interface IommuFacts extends Pick<PlatformTraits, 'addressMeaning' | 'mappingSteps' | 'interruptsExposed'> {
  readonly writableIsReadable?: boolean;
  /** Whether devices that do not offer ACCESS_PLATFORM are behind the unit too; left out where none can be. */
  readonly confinesEveryDevice?: boolean;
  /** What of the profile decides `interruptsExposed`; left out where no option does. */
  readonly interruptsOption?: string;
}

/** What fails on purpose beneath a platform. */
export interface FailingPart {
  /** How many calls failed so far, by kind; `undefined` where none is to. */
  readonly failed: Readonly<Record<string, number>> | undefined;
}

/**
 * Base of the kernel of a guest behind an IOMMU that the guest itself programs. Its domain is open from the start, as a
 * kernel's is from boot on: a device behind the unit reaches only mapped memory, even if its driver breaks the rules. A
 * device that bypasses the unit is not affected.
 */
export abstract class IommuPlatform<Fault extends DeviceFault, Domain extends IommuDomain<Fault>> implements Platform {
  abstract readonly name: string;
  abstract readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder = 'little';
  /** Memory behind I/O virtual pages that the device may still use. */
  readonly leaks: LeakLog;
  readonly #kind: string;
  readonly #failing: FailingPart | undefined;
  #domain: Domain | undefined;
  #traits: PlatformTraits | undefined;
  #events = 0;

  /**
   * `kind` is the value of `platform.domain`: in a domain that is not `translated`, device addresses are physical ones.
   * The platform closes the domain. `failing` is what fails because the options say so.
   */
  protected constructor(kind: string, domain: Domain, leaks: LeakLog, failing?: FailingPart) {
    this.#kind = kind;
    this.#failing = failing;
    this.#domain = domain;
    this.leaks = leaks;
  }

  /** The first read probes a page, so that the traits state verified facts. */
  get traits(): PlatformTraits {
    return (this.#traits ??= this.#stateTraits());
  }

  /** Bytes of I/O virtual addresses that stay unused because the device may still use them. */
  get keptBytes(): number {
    return this.#domain?.keptBytes ?? 0;
  }

  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    if (path !== this.#mappedPath)
      throw new TypeError(`${this.name} maps ${this.#mappedPath} with these options, not ${path}`);
    return this.#opened().openMapping(request.capacity);
  }

  get addressRanges(): readonly AddressRange[] {
    const range = this.#domain?.range;
    return range === undefined ? [] : [range];
  }

  /**
   * The faults of this device of which the unit told since the last call. A unit keeps few, so the list can be
   * incomplete; accesses of a device that bypasses the unit are not in it.
   */
  recordedFaults(): readonly Fault[] {
    const faults = this.#domain?.takeFaults() ?? [];
    this.#events += faults.length;
    return faults;
  }

  get statistics(): PlatformStatistics {
    return failureStatistics(this.#failing?.failed);
  }

  dispose(): void {
    this.#domain?.close();
    this.#domain = undefined;
  }

  /** `undefined` after {@link dispose}. */
  protected get domain(): Domain | undefined {
    return this.#domain;
  }

  /** Faults of this device so far. */
  protected get events(): number {
    return this.#events;
  }

  protected abstract facts(): IommuFacts;

  get #isTranslated(): boolean {
    return this.#kind === 'translated';
  }

  get #mappedPath(): 'translated' | 'identity' {
    return this.#isTranslated ? 'translated' : 'identity';
  }

  #stateTraits(): PlatformTraits {
    const domain = this.#opened();
    const { confinesEveryDevice, interruptsOption, ...facts } = this.facts();
    const option = `platform.domain: ${this.#kind}`;
    const confines = `${option}, platform.confinesEveryDevice: true`;
    return {
      restrictedMemory: false,
      isolates: this.#isTranslated,
      mappedPath: this.#mappedPath,
      pathOption: option,
      factOptions: {
        isolates: option,
        identityVerified: option,
        ...(confinesEveryDevice !== undefined && { confinesEveryDevice: confines }),
        ...(interruptsOption !== undefined && { interruptsExposed: interruptsOption }),
      },
      reachesAllMemory: domain.reachesAllMemory,
      identityVerified: domain.isIdentity(),
      ...(confinesEveryDevice !== undefined && { confinesEveryDevice: confinesEveryDevice && this.#isTranslated }),
      ...facts,
    };
  }

  #opened(): Domain {
    if (this.#domain === undefined) throw new TypeError(`this ${this.name} platform was disposed`);
    return this.#domain;
  }
}
