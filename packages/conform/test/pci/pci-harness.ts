import { PciModernTransport, PolledMsix, VECTORS } from '@virtio-platform/pci';
import { ForwardingDeviceQueue, type DeviceQueue } from '@virtio-platform/core/queue';
import { ConformRun, type CaseResult, type PlannedCase } from '../../src/index.ts';
import { BrokenDevice, type Bug } from '../broken/broken-device.ts';
import { embeddedBlock } from '../broken/try-bug.ts';
import { PciHardware, type PciBug } from './pci-hardware.ts';

/** A bug of the function, or of the rings behind it. */
export interface BrokenFunction {
  readonly pci?: PciBug | undefined;
  readonly ring?: Omit<Bug, 'name'> | undefined;
}

/** The embedded block device as a PCI function, whose bugs are exchanged from one case to the next. */
export class PciHarness {
  readonly #device = new BrokenDevice();
  #hardware: PciHardware | undefined;
  readonly #run: ConformRun;

  private constructor(profile: Awaited<ReturnType<typeof embeddedBlock>>, patienceMs: number) {
    const { watchDevice, watchDeviceQueue } = this.#device.watchers;
    const interrupt = (queue: number): void => this.#hardware?.interrupt(queue);
    this.#run = new ConformRun({
      profile: this.#device.profileOf(profile),
      composition: {
        watchDevice,
        watchDeviceQueue: (queue, index) => new InterruptingQueue(watchDeviceQueue(queue, index), index, interrupt),
      },
      wrap: (machine) => {
        const broken = this.#device.wrap(machine);
        const hardware = new PciHardware(broken.transport, machine.memory);
        hardware.onCrash = () => this.#device.crash();
        this.#hardware = hardware;
        const msix = new PolledMsix(hardware, machine.memory, VECTORS);
        return { ...broken, transport: new PciModernTransport(hardware, msix), pci: hardware };
      },
      cases: [],
      patienceMs,
      settleMs: 1,
    });
  }

  /** `patienceMs`: how long a device has for an answer, 15 ms unless given. On a busy machine that is not enough. */
  static async open(patienceMs = 15): Promise<PciHarness> {
    const harness = new PciHarness(await embeddedBlock(), patienceMs);
    await harness.#run.boot();
    return harness;
  }

  /** The hardware, as long as no case ended it. */
  get hardware(): PciHardware {
    return this.#hardware!;
  }

  /** Runs a case on the device with a bug. The device is booted without one. */
  async try(planned: PlannedCase, bug: BrokenFunction = {}): Promise<CaseResult> {
    const { ring } = bug;
    const conformCase: PlannedCase['conformCase'] = {
      ...planned.conformCase,
      // What comes afterwards is without the bug, unless the device is gone.
      run: async (bench) => {
        this.hardware.count = 0;
        this.hardware.memo.clear();
        this.hardware.bug = bug.pci;
        this.#device.bug = ring === undefined ? undefined : { name: 'ring', ...ring };
        try {
          await planned.conformCase.run(bench);
          if (planned.conformCase.isHostile === true) await bench.settle();
        } finally {
          this.hardware.bug = undefined;
          this.#device.bug = undefined;
        }
      },
    };
    return await this.#run.runOne({ ...planned, conformCase });
  }

  async end(): Promise<void> {
    await this.#run.end();
  }
}

/** Has the function interrupt for a queue whose driver wants it. */
class InterruptingQueue extends ForwardingDeviceQueue {
  readonly #index: number;
  readonly #interrupt: (queue: number) => void;

  constructor(inner: DeviceQueue, index: number, interrupt: (queue: number) => void) {
    super(inner);
    this.#index = index;
    this.#interrupt = interrupt;
  }

  override flush(): boolean {
    const isWanted = super.flush();
    if (isWanted) this.#interrupt(this.#index);
    return isWanted;
  }
}
