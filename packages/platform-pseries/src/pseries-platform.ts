import {
  failureStatistics,
  isCodedError,
  type AddressRange,
  type MappingRequest,
  type Platform,
  type PlatformStatistics,
} from '@virtio-platform/core';
import {
  addressEnd,
  BouncedMappings,
  DirectDmaMapping,
  FULL_ADDRESSING,
  probeCoherentIdentity,
  type DeviceAddressing,
  type DmaMapping,
  type DmaPath,
} from '@virtio-platform/core/dma';
import { formatByteSize, LeakLog, SharedPageAllocator, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { FailingTceFacility } from './failing-tce-facility.ts';
import { FailingUltravisor } from './failing-ultravisor.ts';
import { pseriesMappingSteps } from './mapping-steps.ts';
import { openWindow, windowPath, type OpenedWindow } from './opened-window.ts';
import { refusesAny } from './pseries-failures.ts';
import type { PseriesOptions } from './pseries-options.ts';
import type { WindowOptions } from './window-options.ts';
import type { FormerWindows } from './takeover/former-windows.ts';
import { takeOverTables, type TakenWindows } from './takeover/take-over-tables.ts';
import type { PseriesFacilities, TceFacility } from './tce-facility.ts';
/** The path of a bounce pool in front of a window. */
const BOUNCED_PATHS = { identity: 'bounced', linear: 'bounced+linear', translated: 'bounced+translated' } as const;

/**
 * A POWER guest behind a paravirtual IOMMU. A device that offers ACCESS_PLATFORM accesses memory through TCE tables,
 * which the guest writes by hypercalls. The platform opens the window when a queue or a probe first needs it, so for a
 * device that ignores the tables they stay untouched. A secure guest copies buffers through pages that it shared: in
 * front of the window, or, for a device that ignores the tables, at their physical addresses.
 */
export class PseriesPlatform implements Platform {
  readonly name = 'pseries';
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: ByteOrder;
  /** Memory behind TCEs that the hypervisor did not clear, and pages that the ultravisor did not convert. */
  readonly leaks: LeakLog;
  readonly #options: PseriesOptions;
  readonly #addressing: DeviceAddressing;
  readonly #memory: GuestMemory;
  readonly #facility: TceFacility;
  readonly #ultravisor: FailingUltravisor | undefined;
  readonly #mappedPath: Exclude<DmaPath, 'physical'>;
  /** The shared pages of a secure guest; `undefined` in any other. */
  readonly #shared: SharedPageAllocator | undefined;
  readonly #bounced: BouncedMappings | undefined;
  readonly #bouncedPhysical: BouncedMappings | undefined;
  readonly #taken: TakenWindows | undefined;
  /** Allocations of a kernel that crashed. */
  #formerMemory: readonly number[];
  #traits: PlatformTraits | undefined;
  #window: OpenedWindow | undefined;
  #isDisposed = false;

  /**
   * With `takeover` the tables are taken over now, as a kernel does before any driver resets its device; `former` is
   * what the kernel before told of its windows. Throws {@link DmaError} `ERR_DMA_WINDOW` where that fails.
   */
  constructor(
    options: PseriesOptions,
    memory: GuestMemory,
    { tables, ultravisor }: PseriesFacilities,
    former: FormerWindows = { isDefaultRemoved: false },
    addressing: DeviceAddressing = FULL_ADDRESSING,
  ) {
    this.#addressing = addressing;
    this.#options = options;
    this.leaks = new LeakLog(memory);
    this.#memory = memory;
    this.#facility = refusesAny(options.failures) ? new FailingTceFacility(tables, options.failures) : tables;
    this.guestByteOrder = options.guestEndian;
    this.#formerMemory = former.memory ?? [];
    if (options.takeover !== undefined) this.#taken = takeOverTables(this.#facility, former, options, memory.size);
    this.rules = [...pseriesRules(options), ...(this.#taken === undefined ? [] : [takeoverRule(this.#taken)])];
    const path = windowPath(options.window);
    this.#mappedPath = options.secure ? BOUNCED_PATHS[path] : path;
    if (!options.secure) return;
    if (ultravisor === undefined) throw new TypeError('a secure guest needs an ultravisor');
    this.#ultravisor = new FailingUltravisor(ultravisor, options.failures.share);
    const shared = new SharedPageAllocator(memory, this.#ultravisor, this.leaks);
    this.#shared = shared;
    const { minAlignMask } = addressing;
    const pools = { bytes: options.pool, minAlignMask };
    this.#bounced = new BouncedMappings(memory, pools, () => this.#open().openMapping(1, shared));
    this.#bouncedPhysical = new BouncedMappings(memory, pools, () => this.#openPhysical());
  }

  /** The first read opens the window if the profile asks for identity: the probe needs the table. */
  get traits(): PlatformTraits {
    this.#traits ??= this.#stateTraits();
    return this.#traits;
  }

  get statistics(): PlatformStatistics {
    return failureStatistics({ ...this.#facility.failed, ...this.#ultravisor?.failed });
  }

  /** For the path `bounced` without the window, the bounce pool is at physical addresses. */
  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    if (path === 'bounced' && this.#bouncedPhysical !== undefined && this.#mappedPath !== 'bounced')
      return this.#bouncedPhysical.openMapping(request);
    if (path !== this.#mappedPath)
      throw new TypeError(`pseries maps ${this.#mappedPath} with these options, not ${path}`);
    if (this.#bounced !== undefined) return this.#bounced.openMapping(request);
    return this.#open().openMapping(request.capacity);
  }

  get addressRanges(): readonly AddressRange[] {
    const window = this.#window === undefined ? [] : [this.#window.range];
    const pools = [this.#bounced, this.#bouncedPhysical].flatMap((bounced) => bounced?.addressRanges ?? []);
    return [...window, ...pools];
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#bounced?.dispose();
    this.#bouncedPhysical?.dispose();
    this.#window?.close();
    this.#window = undefined;
    for (const address of this.#formerMemory) this.#memory.free(address);
    this.#formerMemory = [];
  }

  #stateTraits(): PlatformTraits {
    const isSecure = this.#shared !== undefined;
    const { window } = this.#options;
    if (window.mapping === 'identity') this.#open();
    const probeWindow = (): boolean | undefined => this.#probeWindow();
    const probeBounce = (): boolean => isSecure && probeCoherentIdentity(this.#openPhysical());
    return {
      restrictedMemory: isSecure,
      restrictedUnchecked: isSecure,
      // Through a window that maps all of memory a device reaches all of it.
      isolates: window.mapping === 'dynamic',
      mappedPath: this.#mappedPath,
      addressMeaning: addressMeaning(window, isSecure),
      pathOption: pathOption(window, isSecure),
      factOptions: {
        restrictedMemory: isSecure ? 'platform.secure: true' : undefined,
        isolates: windowOption(window),
        identityVerified: windowOption(window),
      },
      mappingSteps: pseriesMappingSteps(this.#options),
      // The ultravisor denies the device the pages that were not shared, whatever the window maps.
      reachesAllMemory: !isSecure && (this.#window?.reachesAllMemory ?? false),
      get identityVerified() {
        // With a bounce pool the device never gets the address of the buffer.
        return isSecure ? undefined : probeWindow();
      },
      get bounceIsPhysical() {
        return probeBounce();
      },
    };
  }

  /**
   * Whether the window's addresses are physical ones. Opens the window for the probe, and closes it again if it was
   * closed; `undefined` when it cannot be opened.
   */
  #probeWindow(): boolean | undefined {
    const wasOpen = this.#window !== undefined;
    try {
      return this.#open().isIdentity();
    } catch (error) {
      if (!isCodedError(error)) throw error;
      return undefined;
    } finally {
      if (!wasOpen) {
        this.#window?.close();
        this.#window = undefined;
      }
    }
  }

  #open(): OpenedWindow {
    if (this.#isDisposed) throw new TypeError('this pseries platform was disposed');
    const { leaks } = this;
    this.#window ??= openWindow(this.#facility, this.#memory, this.#options, leaks, this.#taken, this.#addressing);
    return this.#window;
  }

  /** The shared pages of a secure guest at their physical addresses, without the tables. */
  #openPhysical(): DmaMapping {
    const limit = addressEnd(this.#addressing);
    return new DirectDmaMapping(this.#memory, { path: 'identity', capacity: 1, coherent: this.#shared!, limit });
  }
}

function addressMeaning({ kind, mapping, pageSize }: WindowOptions, isSecure: boolean): string {
  const what = isSecure ? 'slot of the shared bounce pool' : 'buffer';
  if (mapping === 'identity')
    return (
      `the bus address of a ${what} is its physical address: ` +
      'entry i of the TCE table points at page i, which was probed'
    );
  const pages = formatByteSize(pageSize);
  if (mapping === 'linear') {
    return (
      `the bus address of a ${what} is its physical address plus the base of the 64-bit window ` +
      `(2^59, or 0 where it takes the place of the default one), which maps all of memory in pages of ${pages}`
    );
  }
  const window = kind === 'default' ? 'default 32-bit' : '64-bit';
  if (isSecure) return `the bounce pool is shared and mapped in the ${window} window; a bus address is that of a slot`;
  return (
    `each buffer gets bus pages of its own in the ${window} window, ` +
    `with a TCE of exactly its permissions for each page of ${pages}`
  );
}

/** The window of the profile, and whether its guest is a secure one: together they choose the path. */
function pathOption(window: WindowOptions, isSecure: boolean): string {
  return isSecure ? `${windowOption(window)}, platform.secure: true` : windowOption(window);
}

function windowOption({ kind, mapping }: WindowOptions): string {
  return `platform.window: { kind: ${kind}, mapping: ${mapping} }`;
}

/** The rule that says what became of a former owner's tables. */
function takeoverRule({ summary }: TakenWindows): NegotiationRule {
  return {
    name: 'pseries-takes-tables-over',
    source: 'Linux iommu_table_clear, find_existing_ddw_windows',
    stage: 'access',
    apply: (negotiation) => negotiation.note(summary),
  };
}

/** The rules that a POWER guest adds to negotiation. They only add notes; core's rules decide. */
export function pseriesRules({ secure }: { readonly secure: boolean }): readonly NegotiationRule[] {
  return [
    {
      name: 'pseries-secure-guest-shares-pages',
      source: 'Linux arch/powerpc/platforms/pseries/svm.c: bouncing is forced, and its pool is shared by an ultracall',
      stage: 'restricted-memory',
      apply(negotiation) {
        negotiation.note(
          secure
            ? 'the ultravisor denies devices every page that was not shared; buffers are copied through shared ones'
            : 'not a secure guest: devices may see every page',
        );
      },
    },
    {
      name: 'pseries-plain-device-ignores-tces',
      source:
        'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory; ' +
        'Linux vring_use_map_api',
      stage: 'access',
      apply(negotiation) {
        if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          negotiation.note('the device offers ACCESS_PLATFORM: its accesses go through the TCE tables');
        } else {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM: it ignores the TCE tables and reaches system memory, ' +
              'so a bus address would be read as a physical one',
          );
        }
      },
    },
  ];
}
