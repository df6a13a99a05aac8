import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DriverContext } from '@virtio-platform/core';
import { BlockDisk, type BlockDriver } from '@virtio-platform/device-block';
import { composeRun, loadProfile } from '@virtio-platform/profile';
import { DeviceSession } from '@virtio-platform/session';
import type { Measured } from './measured.ts';
import type { FrontEndTask } from './measure-task.ts';

const KIB = 1024;
/** Bytes of a request. */
const BLOCK = 4 * KIB;
/** Blocks that are read, one after the other, over and over. */
const BLOCKS = 64;
/** Requests of a round. */
const PER_ROUND = 128;
const WAIT_MS = 5000;
/** VIRTIO_BLK_S_OK */
const OK = 0;

/**
 * The driver of a disk of a vhost-user back-end, in the loop of a run: it keeps `depth` reads in flight, and where none
 * came back it looks once more with notifications enabled, and waits.
 */
export class FrontEnd implements Measured {
  readonly perRound: number = PER_ROUND;
  readonly #driver: BlockDriver;
  readonly #context: DriverContext;
  #made = 0;

  private constructor(driver: BlockDriver, context: DriverContext) {
    this.#driver = driver;
    this.#context = context;
  }

  /** Drives the back-end that listens at the socket of the task. Rejects where it is no disk of one. */
  static async open({ socket, depth }: FrontEndTask): Promise<FrontEnd> {
    const profile = await loadProfile(
      {
        profile: 'measured',
        platform: { use: '@virtio-platform/platform-legacy' },
        machine: { use: '@virtio-platform/machine-vhost-user', memory: '8MiB', socket },
        device: { type: 'block', capacity: '4MiB' },
        workload: { kind: 'read', requests: 1, depth: 1, blockSize: '4KiB' },
      },
      { baseDirectory: dirname(fileURLToPath(import.meta.url)) },
    );
    const { machine, platform } = await composeRun(profile);
    const { device, driver, policy, queue } = profile;
    const session = new DeviceSession({ machine, platform, device, driver, policy, queue });
    session.openQueues();
    const opened = session.openDriver({ depth, bytes: BLOCK });
    await session.start();
    if (!(opened.driver instanceof BlockDisk)) throw new RangeError('the device is no disk');
    return new FrontEnd(opened.driver.drivers[0]!, opened.context);
  }

  round(): void {
    const [driver, { transport, notify }] = [this.#driver, this.#context];
    const { queue } = driver;
    for (let done = 0; done < PER_ROUND;) {
      while (driver.read((this.#made % BLOCKS) * BLOCK, BLOCK) >= 0) this.#made++;
      if (driver.publish()) notify(queue);
      const came = driver.poll();
      for (let i = 0; i < came; i++) {
        if (driver.completedStatus[i] !== OK) throw new RangeError('a request failed');
        driver.give(driver.completedSlots[i]!);
      }
      done += came;
      if (came > 0) queue.disableNotifications();
      else if (queue.enableNotifications() && transport.wait(WAIT_MS) !== 'notified')
        throw new RangeError('the back-end did not notify in time');
    }
  }
}
