import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { configSize, KEPT, type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { startCheckWorker } from '../check-worker.ts';
import { checkedSettings, type DeviceTypeSubject } from './device-type-subject.ts';
import { HOSTILE_CHAINS, HostileMemory, type HostileChain } from './hostile-chains.ts';
import type { ModelAnswer, ModelWorkerData } from './model-worker.ts';
import { TrialBuffer } from './trial-buffer.ts';
import { TrialSpace } from './trial-space.ts';

/** How long a device half may take for all hostile buffers, and a thread to end. */
const HOSTILE_MS = 20_000;
const THREAD_MS = 15_000;
/** Rounds of hostile buffers, each with other contents. */
const ROUNDS = 12;

/** The duties of a device half by itself. */
export const DEVICE_MODEL_CHECKS: readonly ContractCheck<DeviceTypeSubject>[] = [
  {
    name: 'makes a device half with its queues and the whole configuration space',
    duty: 'DeviceModel: features, queueSizes in entries, config; DeviceTypePlugin.config: the configuration space',
    advice: 'give each queue 1 to 32768 entries, and make config with ConfigSpace from the table of the type',
    async run(subject) {
      const model = await makeModel(subject);
      try {
        assert.ok(
          model.features instanceof FeatureSet || typeof Reflect.get(model.features, 'bits') === 'bigint',
          'features',
        );
        assert.ok(model.queueSizes.length > 0, 'it has a queue');
        for (const size of model.queueSizes)
          assert.ok(Number.isInteger(size) && size >= 1 && size <= 32768, `a queue has ${String(size)} entries`);
        assert.ok(model.config instanceof Uint8Array, 'config is a Uint8Array');
        assert.equal(
          model.config.length,
          configSize(subject.plugin.config),
          'config has the bytes of all fields of the table',
        );
        for (const method of ['start', 'wants', 'process', 'forget', 'dispose'] as const)
          assert.equal(typeof model[method], 'function', `${method} is a function`);
      } finally {
        model.dispose();
      }
    },
  },
  {
    name: 'writes its configuration in the byte order that it is made for',
    duty: 'DeviceTypePlugin.model: of `byteOrder` are configuration and headers',
    advice: 'write numbers with ConfigSpace of the byte order; give a field that is no number a width of no number',
    async run(subject) {
      const [little, big] = [await makeModel(subject, 'little'), await makeModel(subject, 'big')];
      try {
        for (const [name, { offset, width, byteOrder }] of Object.entries(subject.plugin.config)) {
          if (![2, 4, 8].includes(width) || byteOrder !== undefined) continue;
          const one = [...little.config.subarray(offset, offset + width)];
          const other = [...big.config.subarray(offset, offset + width)];
          const isSymmetric = one.join() === one.toReversed().join();
          assert.ok(
            isSymmetric || one.join() !== other.join(),
            `${name} has the bytes ${one.join(' ')} in either byte order`,
          );
        }
      } finally {
        little.dispose();
        big.dispose();
      }
    },
  },
  {
    name: 'survives every buffer that a driver can make',
    duty: 'DeviceModel.process: a number of bytes in front, or KEPT, for whatever a driver puts into a ring',
    advice: 'compare readableBytes and writableBytes with what you need first, and use what read and write return',
    async run(subject) {
      for (let round = 0; round < ROUNDS; round++) {
        const model = await makeModel(subject);
        try {
          new HostileDriver(model, round + 1, subject.plugin.writes === 'memory').run(allFeatures(model));
        } finally {
          model.dispose();
        }
      }
    },
  },
  {
    name: 'can be disposed twice, before it was started too',
    duty: 'DeviceModel.dispose',
    advice: 'let dispose end what is there, and do nothing the second time',
    async run(subject) {
      const idle = await makeModel(subject);
      idle.dispose();
      idle.dispose();
      const model = await makeModel(subject);
      model.connect?.({ queueChanged: () => {}, configChanged: () => {} });
      model.start(allFeatures(model));
      model.dispose();
      assert.doesNotThrow(() => model.dispose(), 'dispose a second time');
    },
  },
  {
    name: 'tells its host of nothing after it was disposed',
    duty: 'DeviceEvents: at any time between `connect` and `dispose`',
    advice: 'clear timers and close sockets in dispose, and call no event after it',
    async run(subject) {
      const model = await makeModel(subject);
      if (model.connect === undefined) skipCheck('it has no `connect`: it tells its host of nothing');
      let events = 0;
      const count = (): void => void events++;
      model.connect({ queueChanged: count, configChanged: count });
      model.start(allFeatures(model));
      await setTimeout(30);
      model.dispose();
      events = 0;
      await setTimeout(60);
      assert.equal(events, 0, 'events in the 60 ms after dispose');
    },
  },
  {
    name: 'makes the same device half in another thread, and leaves nothing running there',
    duty: 'DeviceTypePlugin.model: in a worker, where the module of the plugin is loaded again; DeviceModel.dispose',
    advice: 'keep what the device half needs in settings and module; clear timers and close sockets in dispose',
    async run(subject) {
      const { module } = subject;
      if (module === undefined) skipCheck('no `module` is given: pass the URL of the module of the plugin');
      const model = await makeModel(subject);
      const [settings, accepted] = [await checkedSettings(subject), allFeatures(model).bits];
      model.dispose();
      const data: ModelWorkerData = { module, settings, accepted };
      const worker = startCheckWorker('device-type/model-worker', module, data);
      const abort = new AbortController();
      const { signal } = abort;
      const ended = once(worker, 'exit', { signal });
      ended.catch(() => {});
      try {
        const late = setTimeout(THREAD_MS, undefined, { signal });
        late.catch(() => {});
        const answered: unknown = await Promise.race([once(worker, 'message', { signal }), ended, late]);
        const answer: unknown = Array.isArray(answered) ? answered[0] : undefined;
        assert.ok(typeof answer === 'object' && answer !== null, `the thread answers in ${THREAD_MS} ms`);
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the thread runs model-worker, which answers so
        const { features, queueSizes, config, name, kind } = answer as ModelAnswer;
        assert.deepEqual([kind, name], ['device', subject.plugin.name], 'the module exports this plugin by default');
        assert.equal(features, model.features.bits, 'features there');
        assert.deepEqual(queueSizes, [...model.queueSizes], 'queueSizes there');
        assert.deepEqual([...config], [...model.config], 'config there');
        const isEnded = await Promise.race([ended.then(() => true), setTimeout(3000, false, { signal })]);
        assert.ok(isEnded, 'the thread ends by itself in the 3 s after dispose: a timer or socket is left');
      } finally {
        abort.abort();
        await worker.terminate();
      }
    },
  },
];

/** A device half of a subject. */
async function makeModel(subject: DeviceTypeSubject, byteOrder: 'little' | 'big' = 'little'): Promise<DeviceModel> {
  return subject.plugin.model(await checkedSettings(subject), byteOrder);
}

function allFeatures({ features }: DeviceModel): FeatureSet {
  return new FeatureSet(features.bits | FeatureSet.of(VIRTIO_F_VERSION_1).bits);
}

/** Gives a device half what no author of it thinks of, on each queue as long as the device half wants that. */
class HostileDriver implements DeviceQueues {
  readonly #model: DeviceModel;
  readonly #hostile: HostileMemory;
  readonly #buffers = new Set<TrialBuffer>();
  readonly #space: TrialSpace;
  readonly #deadline = performance.now() + HOSTILE_MS;
  #chain: HostileChain = HOSTILE_CHAINS[0]!;

  /** `writesMemory`: the device half may write memory that is in no buffer. */
  constructor(model: DeviceModel, seed: number, writesMemory: boolean) {
    this.#model = model;
    this.#hostile = new HostileMemory(seed);
    this.#space = new TrialSpace(this.#hostile.space, this.#buffers, (what) => this.#wrong(what), writesMemory);
  }

  run(accepted: FeatureSet): void {
    const model = this.#model;
    model.connect?.({ queueChanged: () => {}, configChanged: () => {} });
    model.start(accepted);
    let head = 0;
    for (const chain of HOSTILE_CHAINS) {
      this.#chain = chain;
      for (let queue = 0; queue < model.queueSizes.length; queue++) {
        if (!model.wants(queue)) continue;
        if (performance.now() > this.#deadline) this.#wrong(`took more than ${HOSTILE_MS} ms for all buffers so far`);
        this.#give(queue, head++ % 32768);
      }
    }
    for (let queue = 0; queue < model.queueSizes.length; queue++) model.forget(queue);
    this.#buffers.clear();
    model.start(accepted);
  }

  push(queue: number, head: number, written: number): void {
    const buffer = [...this.#buffers].find((kept) => kept.queue === queue && kept.head === head);
    if (buffer === undefined) return this.#wrong(`pushes buffer ${head} of queue ${queue}, which it does not have`);
    this.#giveBack(buffer, written);
  }

  report(): void {}

  #give(queue: number, head: number): void {
    const chain = this.#hostile.fill(this.#chain, head);
    const buffer = new TrialBuffer(queue, chain);
    this.#buffers.add(buffer);
    let written: number;
    try {
      written = this.#model.process(queue, chain, this.#space, this);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return this.#wrong(`throws ${String(error)}`);
    }
    if (written !== KEPT) this.#giveBack(buffer, written);
  }

  #giveBack(buffer: TrialBuffer, written: number): void {
    this.#buffers.delete(buffer);
    const { writableBytes, writtenInFront } = buffer;
    if (!Number.isInteger(written) || written < 0 || written > writableBytes)
      return this.#wrong(`says that it wrote ${String(written)} of ${writableBytes} bytes`);
    if (written > writtenInFront)
      this.#wrong(`says that it wrote ${written} bytes, and wrote ${writtenInFront} in front`);
  }

  #wrong(what: string): void {
    assert.fail(`given a buffer ${this.#chain.name}, the device half ${what}`);
  }
}
