import 'reflect-metadata';
import { parentPort, workerData } from 'node:worker_threads';
import type { DeviceTypePlugin } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';

/** What the check gives to the thread. */
export interface ModelWorkerData {
  readonly module: string;
  readonly settings: unknown;
  /** The features to start with. */
  readonly accepted: bigint;
}

/** What the thread answers. */
export interface ModelAnswer {
  readonly kind: unknown;
  readonly name: unknown;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only the check starts this module
const { module, settings, accepted } = workerData as ModelWorkerData;
const exported: { readonly default?: DeviceTypePlugin } = await import(module);
const plugin = exported.default;
if (typeof plugin?.model !== 'function') throw new TypeError(`${module} exports no device type by default`);
const model = plugin.model(settings, 'little');
const answer: ModelAnswer = {
  kind: plugin.kind,
  name: plugin.name,
  features: model.features.bits,
  queueSizes: [...model.queueSizes],
  config: Uint8Array.from(model.config),
};
model.connect?.({ queueChanged: () => {}, configChanged: () => {} });
model.start(new FeatureSet(accepted));
// A reset, which starts it once more.
model.start(new FeatureSet(accepted));
await new Promise((resolve) => setTimeout(resolve, 20));
model.dispose();
model.dispose();
// The thread ends by itself where nothing is left of the device half.
parentPort!.postMessage(answer);
parentPort!.unref();
