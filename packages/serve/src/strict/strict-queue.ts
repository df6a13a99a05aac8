import {
  ForwardingDeviceQueue,
  type BrokenCode,
  type BrokenReason,
  type DescriptorChain,
  type DeviceQueue,
} from '@virtio-platform/core/queue';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DriverRuleCode } from './driver-rules.ts';
import { KickAccount } from './kick-account.ts';
import { PackedScan } from './packed-scan.ts';
import type { RingScan, ScanOptions } from './ring-scan.ts';
import { SplitScan } from './split-scan.ts';

/** What the device's end finds wrong, where the scan understood the ring differently. */
const RULE_OF: Readonly<Partial<Record<BrokenCode, DriverRuleCode>>> = {
  'available-index-out-of-range': 'DRV-AVAIL-INDEX',
  'descriptor-index-out-of-range': 'DRV-NEXT-RANGE',
  'descriptor-not-available': 'DRV-LIST-UNAVAILABLE',
  'descriptor-chain-too-long': 'DRV-CHAIN-LONG',
  'descriptor-length-invalid': 'DRV-LENGTH',
  'descriptor-order-invalid': 'DRV-ORDER-DIRECTION',
  'indirect-table-invalid': 'DRV-INDIRECT-LENGTH',
  'ring-unreachable': 'DRV-RING-UNREACHABLE',
  'descriptor-already-in-flight': 'DRV-HEAD-IN-FLIGHT',
};

/** How long a driver may take between its buffer and its notification: looks, each as long as the check has them. */
const PATIENCE = 6;

/** The device's end of a queue, with a look at everything that its driver does. */
export class StrictQueue extends ForwardingDeviceQueue {
  readonly scan: RingScan;
  readonly #inner: DeviceQueue;
  readonly #options: ScanOptions;
  readonly #kicks: KickAccount | undefined;
  readonly #active: () => void;
  readonly #space: DeviceAddressSpace;
  /** Of the address space, when the device asked for a notification. */
  #generation = -1;
  /** The buffer that was taken last. */
  #head = -1;
  #popped = 0;
  #isBreakTold = false;
  /** Looks at which the same buffer waited for a notification. */
  #waits = 0;
  #waitsAt = -1;

  /**
   * `space` is that of the device, before its writes are told. `active` is told that the queue is about to be looked
   * at, or used: what is refused from there on is refused for it.
   */
  constructor(inner: DeviceQueue, space: DeviceAddressSpace, options: ScanOptions, active: () => void) {
    super(inner);
    this.#inner = inner;
    this.#options = options;
    this.#active = active;
    this.#space = space;
    const { layout, eventIdx, position } = options.setup;
    if (layout === 'packed') this.scan = new PackedScan(space, options);
    else {
      const scan = new SplitScan(space, options);
      this.scan = scan;
      this.#kicks = new KickAccount(scan, eventIdx, position);
    }
  }

  override get broken(): BrokenReason | undefined {
    const { failedBy } = this.#options.findings;
    return failedBy === undefined ? super.broken : { code: 'marked-by-owner', detail: failedBy.what };
  }

  /** The buffer that the device works on; -1 for none so far. */
  get head(): number {
    return this.#head;
  }

  override pop(chain: DescriptorChain): boolean {
    this.#active();
    this.scan.scan();
    if (this.#hasFailed) return false;
    if (!super.pop(chain)) {
      this.#tellBroken();
      return false;
    }
    this.#popped++;
    this.#head = chain.head;
    // It became available after the look.
    if (this.scan.owned(chain.head) === undefined) this.scan.scan();
    return !this.#hasFailed;
  }

  override push(head: number, written: number): void {
    this.scan.returned(head);
    super.push(head, written);
  }

  override flush(): boolean {
    this.scan.shown();
    return super.flush();
  }

  override enableNotifications(): boolean {
    if (this.#hasFailed) return true;
    this.#kicks?.opens();
    this.#generation = this.#space.generation;
    return super.enableNotifications();
  }

  override disableNotifications(): void {
    super.disableNotifications();
    this.#kicks?.closed();
  }

  /** The driver notified, and the queue was served since. */
  kicked(count: number): void {
    this.#waits = 0;
    const needless = this.#kicks?.received(count) ?? 0;
    if (needless === 0) return;
    const { queue, findings } = this.#options;
    const times = needless === 1 ? 'once' : `${needless} times`;
    findings.record('DRV-NOTIFY-NEEDLESS', `queue ${queue}: notified ${times} although the device did not want it`, {
      queue,
    });
  }

  /** Looks whether the driver changes what is the device's, or forgot to notify. Called again and again. */
  look(): void {
    this.#active();
    if (this.#hasFailed || this.broken !== undefined) return;
    // To look may ask for a translation. A guest that restarts has none for the ring of the system before.
    if (this.#options.isTranslated && this.#space.generation !== this.#generation) return;
    if (!this.#options.isTranslated) {
      this.scan.scan();
      this.scan.compareAll();
    }
    if (!this.#inner.awaitsNotification()) {
      this.#waits = 0;
      return;
    }
    if (this.#waitsAt !== this.#popped) this.#waits = 0;
    this.#waitsAt = this.#popped;
    if (++this.#waits !== PATIENCE) return;
    const { queue, findings } = this.#options;
    const what = 'a buffer waits for a notification, which the device asked for and the driver did not send';
    findings.record('DRV-NOTIFY-MISSING', `queue ${queue}: ${what}`, { queue });
  }

  get #hasFailed(): boolean {
    return this.#options.findings.failedBy !== undefined;
  }

  #tellBroken(): void {
    const broken = super.broken;
    if (broken === undefined || this.#isBreakTold) return;
    this.#isBreakTold = true;
    const code = RULE_OF[broken.code];
    if (code === undefined || this.scan.hasBroken) return;
    const { queue, findings } = this.#options;
    findings.record(code, `queue ${queue}: ${broken.detail}`, { queue });
  }
}
