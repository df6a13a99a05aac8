import { setTimeout } from 'node:timers/promises';
import type { DriverContext, WorkDone, Workload } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { DeviceLoop, NOTHING_LEFT, RegisterTransport } from '@virtio-platform/conformance/testing';
import {
  ALL_BALLOON_FEATURES,
  BALLOON_SETTINGS,
  BalloonDevice,
  BalloonDriver,
  balloonQueueList,
  BalloonWork,
  type BalloonSettings,
  type BalloonSettingsInput,
  type BalloonWorkOptions,
} from '@virtio-platform/device-balloon';
import { expect } from 'vitest';

export const ALL: FeatureSet = ALL_BALLOON_FEATURES.with(VIRTIO_F_VERSION_1);

export interface BalloonLoopOptions {
  readonly settings?: BalloonSettingsInput;
  readonly accepted?: FeatureSet;
  readonly byteOrder?: 'little' | 'big';
  readonly pageSize?: number;
  readonly depth?: number;
  readonly buffers?: DriverContext['buffers'];
  /** Makes the device half; the one of the package unless given. */
  readonly device?: (settings: BalloonSettings, byteOrder: 'little' | 'big') => BalloonDevice;
}

/** The registers of a balloon: its configuration space is that of the device half. */
class BalloonRegisters extends RegisterTransport {
  readonly device: BalloonDevice;
  isChanged = false;

  constructor(device: BalloonDevice, offered: FeatureSet) {
    super({ offered, deviceId: 5, configBytes: device.config.length });
    this.device = device;
  }

  override maxQueueSize(queue: number): number {
    return this.device.queueSizes[queue] ?? 0;
  }

  override readConfig(offset: number, target: Uint8Array): void {
    target.set(this.device.config.subarray(offset, offset + target.length));
  }

  override writeConfig(offset: number, source: Uint8Array): void {
    this.device.writeConfig(offset, source);
  }
}

/** Both halves of a balloon over real rings, in this thread: the device handles what is there when the test says so. */
export class BalloonLoop {
  readonly device: BalloonDevice;
  readonly rings: DeviceLoop;
  readonly driver: BalloonDriver;
  readonly transport: BalloonRegisters;
  readonly context: DriverContext;
  readonly settings: BalloonSettings;

  constructor(options: BalloonLoopOptions = {}) {
    const { accepted = ALL, byteOrder = 'little', buffers = 'premapped', depth = 4, pageSize = 4096 } = options;
    this.settings = BALLOON_SETTINGS.parse(options.settings ?? {});
    const make = options.device ?? ((settings, order) => new BalloonDevice(settings, order));
    this.device = make(this.settings, byteOrder);
    this.transport = new BalloonRegisters(this.device, accepted);
    this.device.connect({ queueChanged: () => {}, configChanged: () => (this.transport.isChanged = true) });
    this.rings = new DeviceLoop(this.device, accepted, byteOrder);
    const negotiated = { transport: this.transport, accepted, byteOrder };
    const queues = this.rings.queues(...balloonQueueList(negotiated));
    const { memory } = this.rings;
    this.context = { ...negotiated, memory, queues, buffers, depth, bytes: pageSize, notify() {} };
    this.driver = new BalloonDriver(this.context);
    // DRIVER_OK: the driver half wrote the poison before.
    this.device.start(accepted);
  }

  /** Lets the device handle everything, and the driver half take back what came. Returns requests of pages. */
  run(): number {
    const { driver } = this;
    driver.step(8);
    driver.publish();
    this.rings.serve();
    const came = driver.poll();
    driver.statistics?.poll();
    driver.hints?.poll();
    driver.updateActual();
    if (this.transport.isChanged) {
      this.transport.isChanged = false;
      driver.configChanged();
    }
    return came;
  }

  /** Runs a workload over the driver half. */
  async work(options: Partial<BalloonWorkOptions>, requests: number, seed = 1): Promise<WorkDone> {
    let workload: Workload | undefined;
    let idle = 0;
    const loop = {
      turn: async (progress: number): Promise<void> => {
        if (this.transport.isChanged) {
          this.transport.isChanged = false;
          this.driver.configChanged();
        }
        idle = progress > 0 ? 0 : idle + 1;
        if (idle > 0) await setTimeout(1);
        if (idle > 1500) throw new Error('no request completed');
      },
      failedToAdd(reason: number): void {
        throw new Error(`no request could be added: ${reason}`);
      },
      disrupt: (): void => this.rings.serve(),
    };
    const { memory } = this.rings;
    const all = { pageSize: this.context.bytes, batch: 16, reports: 0.1, pressure: 0.05, ...options };
    const own = { settings: this.settings, options: all, kind: 'mixed', requests, seed, mostReturned: 0, loop };
    workload = new BalloonWork(this.driver, { ...this.context, ...own, inspected: memory });
    await workload.run();
    return workload.done;
  }

  /** Gives everything back, and looks whether anything is left. */
  end(): void {
    expect(this.rings.end(this.driver)).toEqual(NOTHING_LEFT);
  }
}
