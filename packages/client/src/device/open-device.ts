import type { DriverContext, DriverHalf, NegotiatedDevice } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import { composeRun, type ComposedRun, type Profile, type ProfileObject } from '@virtio-platform/profile';
import { DeviceSession, type DriverLoad, type OpenedDriver } from '@virtio-platform/session';
import { ClientError, otherDevice } from '../client-error.ts';
import { checkSignal } from './check-arguments.ts';
import { clientProfile } from './client-profile.ts';
import { DevicePump, type PumpListener, type PumpWork } from './device-pump.ts';
import type { OpenOptions, ProfileLike } from './open-options.ts';

/** What a client asks for: its device type, and how much it has in flight. */
export interface WantedDevice {
  /** The name of the device type, as messages have it: `block`. */
  readonly name: string;
  /** The number of the device type (specification 1.4 section 5). */
  readonly id: number;
  /** For a profile that is an object without one. */
  readonly workload: NonNullable<ProfileObject['workload']>;
  /** Features that the client does not want, although the driver half knows them. */
  readonly lacks?: FeatureSet;
  /** How much is in flight, for queues of these sizes and so many bytes of guest memory. */
  load(queueSizes: readonly number[], memoryBytes: number, device: NegotiatedDevice): DriverLoad;
}

/** A long time: the timer that keeps the process alive does nothing else. */
const KEEP_ALIVE_MS = 0x7fff_ffff;

/** A device that was opened for a program, from its profile to its pump. */
export class OpenedDevice {
  readonly profile: Profile;
  readonly driver: DriverHalf;
  readonly context: DriverContext;
  readonly pump: DevicePump;
  readonly #run: ComposedRun;
  readonly #session: DeviceSession;
  readonly #keepAlive: NodeJS.Timeout;
  #ending: Promise<void> | undefined;
  #hasFailed = false;

  /** Made by {@link open}. */
  constructor(run: ComposedRun, session: DeviceSession, { driver, context }: OpenedDriver, pump: DevicePump) {
    this.profile = run.profile;
    this.driver = driver;
    this.context = context;
    this.pump = pump;
    this.#run = run;
    this.#session = session;
    this.#keepAlive = setInterval(() => {}, KEEP_ALIVE_MS);
  }

  /**
   * Boots the machine of a profile, negotiates, and starts the device. Rejects with a coded error, `ERR_CLIENT_DEVICE`
   * where the profile has another device type and `ERR_CLIENT_REFUSED` where negotiation refuses, or with the reason of
   * `options.signal`; then nothing stays.
   */
  static async open(source: ProfileLike, wanted: WantedDevice, options: OpenOptions): Promise<OpenedDevice> {
    const { signal, load } = options;
    checkSignal(signal);
    signal?.throwIfAborted();
    const profile = await clientProfile(source, wanted, options);
    const { type } = profile.device;
    if (type.id !== wanted.id) throw otherDevice(profile.name, type.name, wanted.name);
    signal?.throwIfAborted();
    const run = await composeRun(profile, { ...load, signal });
    try {
      signal?.throwIfAborted();
      return await startSession(run, wanted, signal);
    } catch (error) {
      await run.dispose();
      throw error;
    }
  }

  /** Begins to work. Where the device fails, its requests are to be rejected. */
  start(work: PumpWork, listener: PumpListener): void {
    const { profile, context, driver } = this;
    const queues = context.queues.map(({ queue }) => queue);
    const { timeoutMs } = profile.driver;
    this.pump.start({ transport: context.transport, queues, driver, timeoutMs }, work, {
      failed: (error) => {
        this.#hasFailed = true;
        listener.failed(error);
      },
      changed: (what) => listener.changed(what),
    });
  }

  /** Keeps the process alive, as it does from the start. */
  ref(): void {
    this.#keepAlive.ref();
  }

  /** Lets the process end while the device is open. */
  unref(): void {
    this.#keepAlive.unref();
  }

  /**
   * Resets the device, and ends everything that was started. A second call returns the result of the first. Rejects
   * with the first error, unless the device had failed before.
   */
  async end(): Promise<void> {
    await (this.#ending ??= this.#end());
  }

  async #end(): Promise<void> {
    this.pump.stop();
    const errors: unknown[] = [];
    endSession(this.#session, errors);
    errors.push(...(await this.#run.dispose()));
    clearInterval(this.#keepAlive);
    if (errors.length > 0 && !this.#hasFailed) throw errors[0];
  }
}

/** Negotiates and starts. Then nothing of the session stays where it throws; the run is the caller's. */
async function startSession(run: ComposedRun, wanted: WantedDevice, signal?: AbortSignal): Promise<OpenedDevice> {
  const { machine, platform, profile } = run;
  const { device, driver, policy, queue, failures } = profile;
  const pump = new DevicePump(machine.transport);
  const lacks = wanted.lacks === undefined ? driver.lacks : new FeatureSet(driver.lacks.bits | wanted.lacks.bits);
  const terms = { ...driver, lacks };
  const session = new DeviceSession({ machine, platform, device, driver: terms, policy, queue, failures });
  try {
    throwIfRefused(session.negotiation);
    const sizes = session.openQueues().map((opened) => opened.queue.size);
    const opened = session.openDriver(wanted.load(sizes, profile.memory, session.device));
    await session.start(signal);
    return new OpenedDevice(run, session, opened, pump);
  } catch (error) {
    pump.stop();
    endSession(session, []);
    throw error;
  }
}

function throwIfRefused({ refusal }: NegotiationResult): void {
  if (refusal === undefined) return;
  const { code, reason, change } = refusal;
  const hint = Object.values(change).join(', or ');
  throw new ClientError('ERR_CLIENT_REFUSED', `negotiation refuses the device (${code}): ${reason}`, { hint });
}

/** Ends a session and keeps what goes wrong. */
function endSession(session: DeviceSession, errors: unknown[]): void {
  for (const step of [() => session.end(), () => session.dispose()]) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
}
