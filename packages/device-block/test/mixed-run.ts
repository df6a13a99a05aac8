import type { DeviceModel, WorkloadContext } from '@virtio-platform/core';
import { VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { DeviceLoop, RegisterTransport } from '@virtio-platform/conformance/testing';
import block, {
  BLOCK_SETTINGS,
  BlockDisk,
  MixedWork,
  type BlockSettings,
  type BlockSettingsInput,
  type MixedOptions,
} from '@virtio-platform/device-block';
import type { WorkDone } from '@virtio-platform/core';

/** What a run of the workload `mixed` is of. */
export interface MixedRun {
  readonly requests: number;
  readonly seed: number;
  readonly depth?: number;
  readonly settings?: BlockSettingsInput;
  readonly options?: Partial<MixedOptions>;
  /** The device half, for one that is not as it has to be. */
  readonly model?: (settings: BlockSettings) => DeviceModel;
}

/** The configuration of a device half, through a transport that is its own. */
class ModelTransport extends RegisterTransport {
  readonly #model: DeviceModel;

  constructor(model: DeviceModel) {
    super({ offered: model.features.with(VIRTIO_F_VERSION_1), configBytes: model.config.length });
    this.#model = model;
  }

  override readConfig(offset: number, target: Uint8Array): void {
    target.set(this.#model.config.subarray(offset, offset + target.length));
  }

  override writeConfig(offset: number, source: Uint8Array): void {
    this.#model.writeConfig?.(offset, source);
  }
}

/** Runs the workload `mixed` on a device half over a real ring, in this thread. */
export async function runMixed(run: MixedRun): Promise<WorkDone> {
  const settings = BLOCK_SETTINGS.parse({ capacity: '64KiB', ...run.settings });
  const model = run.model?.(settings) ?? block.model(settings, 'little');
  const accepted = model.features.and(block.driver.features).with(VIRTIO_F_VERSION_1);
  const loop = new DeviceLoop(model, accepted);
  const blockSize = run.options?.blockSize ?? 1024;
  const indices = Array.from({ length: settings.queues }, (_, i) => i);
  const context: WorkloadContext<BlockSettings, MixedOptions> = {
    transport: new ModelTransport(model),
    accepted,
    byteOrder: 'little',
    memory: loop.memory,
    inspected: loop.memory,
    queues: loop.queues(...indices),
    buffers: 'premapped',
    depth: run.depth ?? 8,
    bytes: blockSize,
    notify: () => {},
    settings,
    options: {
      ...(block.workloads['mixed']!.options as unknown as { parse(value: object): MixedOptions }).parse({ blockSize }),
      ...run.options,
    },
    kind: 'mixed',
    requests: run.requests,
    seed: run.seed,
    mostReturned: 0,
    loop: {
      turn() {
        loop.serve();
        return Promise.resolve();
      },
      failedToAdd(reason) {
        throw new Error(`a request was not added: ${reason}`);
      },
      disrupt() {},
    },
  };
  const disk = new BlockDisk(context);
  const work = new MixedWork(disk, context);
  try {
    await work.run();
    return work.done;
  } finally {
    loop.end(disk);
  }
}
