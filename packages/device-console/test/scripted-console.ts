import type { DeviceModel } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { DeviceLoop } from '@virtio-platform/conformance/testing';
import { ConsoleDriver, consoleQueues, VIRTIO_CONSOLE_F_MULTIPORT } from '@virtio-platform/device-console';

/** A control message, and what follows it; or any bytes. */
export type Message = readonly [port: number, event: number, value: number, behind?: Uint8Array] | Uint8Array;

/** What the driver said. */
export type Heard = readonly [port: number, event: number, value: number];

const MULTIPORT = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_CONSOLE_F_MULTIPORT);

/** A console with queues for 31 ports, as QEMU's by default, that has the ports that `answer` announces. */
export class ScriptedConsole implements DeviceModel {
  readonly features = MULTIPORT;
  readonly queueSizes = Array.from({ length: 64 }, () => 32);
  readonly config = new Uint8Array(12);
  /** What the driver said. */
  readonly heard: Heard[] = [];
  readonly #answer: (message: Heard) => readonly Message[];
  readonly #waiting: Message[] = [];

  constructor(answer: (message: Heard) => readonly Message[]) {
    this.#answer = answer;
  }

  /** Says something with the next buffer that the driver gives. */
  say(...messages: readonly Message[]): void {
    this.#waiting.push(...messages);
  }

  writeConfig(): void {}

  start(): void {}

  forget(): void {}

  dispose(): void {}

  wants(queue: number): boolean {
    return queue === 2 ? this.#waiting.length > 0 : queue === 3;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    if (queue === 3) {
      space.read(chain.low[0]!, chain.high[0]!, bytes, 0, 8);
      const message: Heard = [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true)];
      this.heard.push(message);
      this.#waiting.push(...this.#answer(message));
      return 0;
    }
    const said = this.#waiting.shift()!;
    const message = said instanceof Uint8Array ? said : encoded(said);
    space.write(chain.low[0]!, chain.high[0]!, message, 0, message.length);
    return message.length;
  }
}

function encoded([port, event, value, behind = new Uint8Array(0)]: Exclude<Message, Uint8Array>): Uint8Array {
  const bytes = new Uint8Array(8 + behind.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, port, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  bytes.set(behind, 8);
  return bytes;
}

/** A driver of 31 ports over a console that answers so. */
export function connect(answer: (message: Heard) => readonly Message[]): {
  readonly model: ScriptedConsole;
  readonly loop: DeviceLoop;
  readonly driver: ConsoleDriver;
  readonly bytes: number;
} {
  const model = new ScriptedConsole(answer);
  const loop = new DeviceLoop(model, MULTIPORT);
  const notify = (): void => loop.serve();
  const options = { ports: 31, hasControl: true, depth: 2, bytes: 4096, buffers: 'streaming' } as const;
  const before = loop.memory.allocated;
  const driver = new ConsoleDriver(loop.memory, loop.queues(...consoleQueues(31, true)), {
    ...options,
    byteOrder: 'little',
    notify,
  });
  for (let i = 0; i < 20 && !driver.isConnected; i++) driver.connect();
  return { model, loop, driver, bytes: loop.memory.allocated - before };
}
