import {
  defineDeviceType,
  PLUGIN_API_VERSION,
  type ConfigTable,
  type DeviceEvents,
  type DeviceModel,
  type DeviceTypePlugin,
} from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, NO_DEVICE_FEATURES } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';

/** How an {@link EventDevice} behaves. */
export interface EventSettings {
  /** Milliseconds after each start until its one event; never where it is not given, and then without a timer. */
  readonly after?: number | undefined;
  /** Whether it throws where it serves the buffer that the event makes it want. */
  readonly fails?: boolean | undefined;
}

/** The configuration: how many events there were, and a byte whose write is one. */
export const EVENT_CONFIG: ConfigTable<'events' | 'trigger'> = {
  events: { offset: 0, width: 4 },
  trigger: { offset: 4, width: 1, isWritable: true },
};
/** The queue whose buffers it has no use for until an event. Each event gives one of them back, with one byte. */
export const EVENT_QUEUE = 0;
/** The queue of which each buffer is an event. */
export const COMMAND_QUEUE = 1;
/** The byte that an event writes. */
export const EVENT_BYTE = 0x5a;

/**
 * A device half with events: by a timer, by a write of its configuration, and inside of the work on a buffer. Each
 * changes the configuration, and makes the device half want a buffer of the event queue.
 */
class EventDevice implements DeviceModel {
  readonly features: FeatureSet = FeatureSet.EMPTY;
  readonly queueSizes: readonly number[] = [8, 8];
  readonly config: Uint8Array = new Uint8Array(5);
  readonly usesEventLoop: boolean;
  readonly #settings: EventSettings;
  #events: DeviceEvents | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wanted = 0;

  constructor(settings: EventSettings) {
    this.#settings = settings;
    this.usesEventLoop = settings.after !== undefined;
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  writeConfig(_offset: number, _source: Uint8Array): void {
    this.#happen();
  }

  start(_accepted: FeatureSet): void {
    const { after } = this.#settings;
    clearTimeout(this.#timer);
    this.#wanted = 0;
    if (after !== undefined) this.#timer = setTimeout(() => this.#happen(), after);
  }

  wants(queue: number): boolean {
    return queue === COMMAND_QUEUE || this.#wanted > 0;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (queue === COMMAND_QUEUE) {
      this.#happen();
      return 0;
    }
    if (this.#settings.fails === true) throw new TypeError('the event went wrong');
    this.#wanted--;
    space.write(chain.low[0]!, chain.high[0]!, Uint8Array.of(EVENT_BYTE), 0, 1);
    return 1;
  }

  forget(_queue: number): void {}

  dispose(): void {
    clearTimeout(this.#timer);
  }

  #happen(): void {
    this.#wanted++;
    const view = new DataView(this.config.buffer);
    view.setUint32(0, view.getUint32(0, true) + 1, true);
    this.#events!.configChanged();
    this.#events!.queueChanged();
  }
}

const plugin: DeviceTypePlugin<EventSettings> = defineDeviceType({
  kind: 'device',
  name: 'event',
  apiVersion: PLUGIN_API_VERSION,
  id: 63,
  features: NO_DEVICE_FEATURES,
  // Of tests only, which give settings that are right: a worker starts faster without a library for schemas.
  options: { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'no profile' }] }) } },
  config: EVENT_CONFIG,
  driver: {
    features: FeatureSet.EMPTY,
    queues: () => [EVENT_QUEUE, COMMAND_QUEUE],
    open: () => ({ dispose: () => {} }),
  },
  workloads: {},
  model: (settings) => new EventDevice(settings),
});

export default plugin;
