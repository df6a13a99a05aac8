import { DeviceStatus } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { splitLayout } from '@virtio-platform/core/queue';
import type { SimulatedDevice } from '@virtio-platform/machine-simulated';
import type { PciBar, PciFunction } from '@virtio-platform/pci';

const PAGE = 4096;

/** Where the registers of the modern interface are in BAR 4. */
const COMMON = 0;
const ISR = 0x100;
const NOTIFY = 0x200;
const CONFIG = 0x1000;
/** Where the configuration of the legacy interface begins in BAR 0, without MSI-X. */
const LEGACY_CONFIG = 20;

/** How the registers lie about the device. */
export interface FunctionClaims {
  /** The number of the device type. */
  readonly deviceId: number;
  readonly interface: 'modern' | 'legacy';
  /** Bytes of device configuration that there are. */
  readonly configBytes: number;
  /** What is said of the number of queues, and of the size of one when it is read. */
  readonly queueCount?: number | undefined;
  readonly queueSize?: ((queue: number, size: number) => number) | undefined;
  readonly notifyOff?: ((queue: number) => number) | undefined;
}

/** A device of the embedded machine as a PCI function, modern or legacy, without MSI-X. */
export class SimulatedFunction implements PciFunction {
  readonly name = '0000:00:05.0';
  readonly #device: SimulatedDevice;
  readonly #claims: FunctionClaims;
  readonly #space: DataView = new DataView(new ArrayBuffer(256));
  readonly #registers: DataView = new DataView(new ArrayBuffer(0x1000));
  /** By queue: the size that was said last, by which a legacy driver lays its ring out. */
  readonly #said: number[] = [];
  #end = 0x40;
  #last = 0x34;

  constructor(device: SimulatedDevice, claims: FunctionClaims) {
    this.#device = device;
    this.#claims = claims;
    const { deviceId: type } = claims;
    const isLegacy = claims.interface === 'legacy';
    this.#space.setUint16(0, 0x1af4, true);
    this.#space.setUint16(2, isLegacy ? 0x1000 : 0x1040 + type, true);
    this.#space.setUint16(0x2e, type, true);
    if (isLegacy) return;
    this.#addCapability(1, COMMON, 0x3c);
    this.#addCapability(3, ISR, 1);
    this.#addCapability(2, NOTIFY, 0x800, 4);
    if (claims.configBytes > 0) this.#addCapability(4, CONFIG, claims.configBytes);
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return get(this.#space, offset, width);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    put(this.#space, offset, width, value);
  }

  openBar(index: number): PciBar | undefined {
    const isLegacy = this.#claims.interface === 'legacy';
    if (index !== (isLegacy ? 0 : 4)) return undefined;
    return {
      kind: isLegacy ? 'io' : 'memory',
      size: isLegacy ? Math.max(24, LEGACY_CONFIG + this.#claims.configBytes) : CONFIG + 0x1000,
      read: (offset, width) => (isLegacy ? this.#readLegacy(offset, width) : this.#read(offset, width)),
      write: (offset, width, value) =>
        isLegacy ? this.#writeLegacy(offset, value) : this.#write(offset, width, value),
    };
  }

  #addCapability(type: number, offset: number, length: number, multiplier = 0): void {
    const at = this.#end;
    this.#space.setUint16(6, 0x10, true);
    this.#space.setUint8(this.#last, at);
    this.#space.setUint8(at, 9);
    this.#space.setUint8(at + 3, type);
    this.#space.setUint8(at + 4, 4);
    this.#space.setUint32(at + 8, offset, true);
    this.#space.setUint32(at + 12, length, true);
    this.#space.setUint32(at + 16, multiplier, true);
    this.#last = at + 1;
    this.#end = at + 20;
  }

  #size(queue: number): number {
    const size = this.#device.maxQueueSize(queue);
    return (this.#said[queue] = (this.#claims.queueSize?.(queue, size) ?? size) & 0xffff);
  }

  #configByte(offset: number): number {
    const byte = new Uint8Array(1);
    this.#device.readConfig(offset, byte);
    return byte[0]!;
  }

  #read(offset: number, width: 1 | 2 | 4): number {
    if (offset >= CONFIG) return this.#configByte(offset - CONFIG);
    const queue = get(this.#registers, 0x16, 2);
    switch (offset) {
      case 0x04:
        return Number(BigInt.asUintN(32, this.#device.features.bits >> BigInt(32 * get(this.#registers, 0, 4))));
      case 0x12:
        return this.#claims.queueCount ?? this.#device.model.queueSizes.length;
      case 0x14:
        return this.#device.status;
      case 0x18:
        return this.#size(queue);
      case 0x1c:
        return this.#device.isQueueReset(queue) ? 0 : 1;
      case 0x1e:
        return this.#claims.notifyOff?.(queue) ?? queue;
      case 0x38:
        return this.#device.notificationIdentity(queue);
      case 0x3a:
        return 0;
      case ISR:
        return this.#device.takeNotification() ? 1 : 0;
      default:
        return get(this.#registers, offset, width);
    }
  }

  #write(offset: number, width: 1 | 2 | 4, value: number): void {
    if (offset >= NOTIFY) return this.#device.notify(value);
    put(this.#registers, offset, width, value);
    const queue = get(this.#registers, 0x16, 2);
    if (offset === 0x0c) this.#writeFeatures();
    else if (offset === 0x14) this.#device.writeStatus(value);
    else if (offset === 0x3a && value === 1) this.#device.resetQueue(queue);
    else if (offset === 0x1c && value === 1) {
      const words = Uint32Array.from({ length: 6 }, (_, word) => get(this.#registers, 0x20 + 4 * word, 4));
      this.#device.enableQueue(queue, { size: get(this.#registers, 0x18, 2), words });
    }
  }

  #writeFeatures(): void {
    const word = get(this.#registers, 0x08, 4);
    put(this.#registers, 0x800 + 4 * word, 4, get(this.#registers, 0x0c, 4));
    let bits = 0n;
    for (let i = 3; i >= 0; i--) bits = (bits << 32n) | BigInt(get(this.#registers, 0x800 + 4 * i, 4));
    this.#device.writeFeatures(new FeatureSet(bits));
  }

  #readLegacy(offset: number, width: 1 | 2 | 4): number {
    if (offset >= LEGACY_CONFIG) return this.#configByte(offset - LEGACY_CONFIG);
    const queue = get(this.#registers, 14, 2);
    switch (offset) {
      case 0:
        return Number(BigInt.asUintN(32, this.#device.features.without(VIRTIO_F_VERSION_1).bits));
      case 8:
        return this.#device.isQueueReset(queue) ? 0 : 1;
      case 12:
        return this.#size(queue);
      case 18:
        return this.#device.status & ~DeviceStatus.FeaturesOk;
      case 19:
        return this.#device.takeNotification() ? 1 : 0;
      default:
        return get(this.#registers, offset, width);
    }
  }

  #writeLegacy(offset: number, value: number): void {
    const queue = get(this.#registers, 14, 2);
    if (offset === 4) this.#device.writeFeatures(new FeatureSet(BigInt(value)));
    else if (offset === 8) this.#enableLegacy(queue, value);
    else if (offset === 14) put(this.#registers, 14, 2, value);
    else if (offset === 16) this.#device.notify(value);
    else if (offset === 18) this.#device.writeStatus(value);
  }

  #enableLegacy(queue: number, frame: number): void {
    const size = this.#said[queue] ?? 0;
    if (size === 0 || size > 0x8000 || (size & (size - 1)) !== 0) return;
    const { driverOffset, deviceOffset } = splitLayout(size, PAGE);
    const areas = [0, driverOffset, deviceOffset].map((offset) => frame * PAGE + offset);
    const words = areas.flatMap((address) => [address % 2 ** 32, Math.floor(address / 2 ** 32)]);
    this.#device.enableQueue(queue, { size, words: Uint32Array.from(words) });
  }
}

function get(view: DataView, offset: number, width: number): number {
  if (width === 1) return view.getUint8(offset);
  return width === 2 ? view.getUint16(offset, true) : view.getUint32(offset, true);
}

function put(view: DataView, offset: number, width: number, value: number): void {
  if (width === 1) view.setUint8(offset, value);
  else if (width === 2) view.setUint16(offset, value, true);
  else view.setUint32(offset, value, true);
}
