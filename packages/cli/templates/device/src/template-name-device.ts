import type { DeviceEvents, DeviceModel } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { ConfigSpace, writeChain } from '@virtio-platform/device-kit';
import { TEMPLATE_NAME_CONFIG, TEMPLATE_NAME_F_STEP, TICK_BYTES } from './layout.ts';
import type { TemplateNameSettings } from './settings.ts';

/** The device half: a counter that ticks by itself, and tells its host of each tick. */
export class TemplateNameDevice implements DeviceModel {
  readonly features: FeatureSet = FeatureSet.of(TEMPLATE_NAME_F_STEP);
  readonly queueSizes: readonly number[] = [256];
  readonly config: Uint8Array;
  /** The timer runs while the driver is idle. */
  readonly usesEventLoop = true;
  readonly #settings: TemplateNameSettings;
  readonly #littleEndian: boolean;
  readonly #bytes: Uint8Array = new Uint8Array(TICK_BYTES);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  #events: DeviceEvents | undefined;
  #timer: NodeJS.Timeout | undefined;
  #step = 1;
  #started = 0;
  /** Ticks so far, and those of them that the driver got. */
  #ticked = 0;
  #sent = 0;

  constructor(settings: TemplateNameSettings, byteOrder: ByteOrder) {
    const config = new ConfigSpace(TEMPLATE_NAME_CONFIG, byteOrder);
    config.set(TEMPLATE_NAME_CONFIG.interval, settings.interval);
    config.set(TEMPLATE_NAME_CONFIG.step, settings.step);
    this.config = config.bytes;
    this.#settings = settings;
    this.#littleEndian = byteOrder === 'little';
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  start(accepted: FeatureSet): void {
    this.dispose();
    this.#step = accepted.has(TEMPLATE_NAME_F_STEP) ? this.#settings.step : 1;
    this.#ticked = 0;
    this.#sent = 0;
    this.#started = performance.now();
    this.#timer = setInterval(() => {
      this.#ticked++;
      this.#events?.queueChanged();
    }, this.#settings.interval);
  }

  /** A buffer stays in the queue until there is a tick for it. */
  wants(_queue: number): boolean {
    return this.#sent < this.#ticked;
  }

  process(_queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (chain.writableBytes < TICK_BYTES) return 0;
    this.#sent++;
    this.#view.setUint32(0, Math.imul(this.#sent, this.#step), this.#littleEndian);
    this.#view.setUint32(4, performance.now() - this.#started, this.#littleEndian);
    return writeChain(chain, space, 0, this.#bytes, 0, TICK_BYTES) ? TICK_BYTES : 0;
  }

  /** The device keeps no buffer: there is nothing of a queue to forget. */
  forget(_queue: number): void {}

  dispose(): void {
    clearInterval(this.#timer);
  }
}
