import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CodedError, RequestedMachine, type BootedMachine, type DeviceProgram } from '@virtio-platform/core';
import { FaultLog } from '@virtio-platform/core/address-space';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { Disposal, hostProblem, HostError, StartedProgram, TemporaryFolder, UnixSocket } from '@virtio-platform/host';
import { BackChannel } from './back-channel.ts';
import { negotiateProtocol, type BackEnd } from './back-end.ts';
import { DirtyPages } from './memory/dirty-pages.ts';
import { FrontEndQueue } from './front-end-queue.ts';
import { openDeviceMemory, type DeviceMemory } from './memory/device-memory.ts';
import { openTranslatedMemory } from './memory/translated-memory.ts';
import { IMAGE_PLACEHOLDER, SOCKET_PLACEHOLDER, type VhostUserOptions } from './options.ts';
import { VhostUserConnection } from './vhost-user-connection.ts';
import { VhostUserQueue } from './vhost-user-queue.ts';
import { VhostUserTransport } from './vhost-user-transport.ts';

/** The back-end that `command` started, and those that were started in its place. */
class BackEndPrograms {
  #now: StartedProgram;
  readonly #all: StartedProgram[];

  constructor(first: StartedProgram) {
    this.#now = first;
    this.#all = [first];
  }

  /** The one that was started last. */
  get now(): StartedProgram {
    return this.#now;
  }

  /** Starts it again where it has ended. */
  ensureRunning(): void {
    if (!this.#now.hasEnded) return;
    void this.#now.end();
    this.#now = this.#now.again();
    this.#all.push(this.#now);
  }

  async end(): Promise<void> {
    await Promise.all(this.#all.map((program) => program.end()));
  }
}

/** The errors of connect(2) while the back-end does not listen yet, or serves another front-end. */
const NOT_YET: readonly (string | undefined)[] = ['ENOENT', 'ECONNREFUSED', 'EAGAIN'];
const RETRY_MS = 10;

interface StartedBackEnd {
  readonly programs: BackEndPrograms;
  readonly socket: string;
}

/**
 * A real back-end in another process. A back-end that offers ACCESS_PLATFORM asks for the translation of each page: the
 * platform's simulated hardware translates, and a refused access is a recorded fault. Any other back-end reaches guest
 * memory only through its memory regions, which thus enforce the platform's rules. It closes the connection over a
 * device address outside of them: that is a lost device and no recorded fault, because it does not tell the address.
 */
export class VhostUserMachine extends RequestedMachine<VhostUserOptions> {
  readonly name = 'vhost-user';

  async boot(): Promise<BootedMachine> {
    const problem = hostProblem();
    if (problem !== undefined) throw problem;
    if (this.request.device.driverInterface === 'legacy') {
      throw new CodedError('ERR_MACHINE_INTERFACE', 'a vhost-user back-end has no legacy interface', {
        hint: 'use driver.interface: modern, or the simulated machine',
      });
    }
    return await Disposal.orNothing((disposal) => this.#boot(disposal));
  }

  async #boot(disposal: Disposal): Promise<BootedMachine> {
    const { command, replyTimeout, startTimeout, dirtyLog = false } = this.options;
    const start = performance.now();
    const started = command === undefined ? undefined : await this.#start(command, disposal);
    const path = started?.socket ?? resolve(this.request.baseDirectory, this.options.socket!);
    const connection = new VhostUserConnection(await this.#connect(path, started?.programs.now), {
      replyTimeoutMs: replyTimeout,
      signal: this.request.signal,
      stderrTail: () => started?.programs.now.stderrTail() ?? '',
    });
    disposal.add(() => connection.dispose());
    connection.startBudget('to start (machine.startTimeout)', startTimeout, performance.now() - start);
    const { device, needs, recorder } = this.request;
    const offersPlatform = device.offers?.has(VIRTIO_F_ACCESS_PLATFORM) !== false;
    const backEnd = await negotiateProtocol(connection, {
      type: device.type,
      translation: offersPlatform && this.request.simulate !== undefined,
      parts: needs.length > 0,
      reconnect: this.options.reconnect !== undefined,
      log: dirtyLog,
    });
    const faults = new FaultLog();
    const frontEnd = device.type.vhostUser?.frontEnd?.(device.settings, backEnd.queueCount);
    const queues: VhostUserQueue[] = [];
    disposal.add(() => {
      for (const queue of queues) queue.dispose();
    });
    const shown = (frontEnd?.queueCount ?? Infinity) - (frontEnd?.control === undefined ? 0 : 1);
    const queueCount = Math.min(backEnd.queueCount, shown);
    while (queues.length < queueCount) queues.push(new VhostUserQueue(queues.length, connection, recorder, dirtyLog));
    const { hasConfig } = backEnd;
    const backChannel = backEnd.hasBackChannel
      ? BackChannel.open(connection, { timeoutMs: replyTimeout, hasConfig })
      : undefined;
    disposal.add(() => backChannel?.dispose());
    const memory = this.#openMemory(connection, backEnd, backChannel, faults, queues);
    disposal.add(() => memory.dispose());
    const log = dirtyLog ? DirtyPages.open(connection, this.request, backEnd) : undefined;
    disposal.add(() => log?.dispose());
    connection.endBudget();
    const own = frontEnd?.control && new FrontEndQueue(queues.length, frontEnd.control, memory.space(faults));
    const reconnect = this.options.reconnect && {
      policy: this.options.reconnect,
      connect: () => {
        started?.programs.ensureRunning();
        return UnixSocket.connect(path);
      },
    };
    const parts = {
      memory,
      backChannel,
      queues,
      own,
      frontEnd,
      backEnd,
      device,
      setUpMs: startTimeout,
      reconnect,
      log,
    };
    const transport = new VhostUserTransport(connection, parts);
    disposal.add(() => transport.dispose());
    const { facilities, watchMapping } = memory;
    const deviceProgram =
      started &&
      ((): DeviceProgram => ({ ending: started.programs.now.ending, stderrTail: started.programs.now.stderrTail() }));
    return {
      memory: memory.memory,
      transport,
      facilities,
      faults,
      watchMapping,
      deviceProgram,
      statistics: () => ({
        ...(reconnect && { 'back-end': { reconnects: transport.reconnects } }),
        ...(log && { 'dirty log': { pages: log.count } }),
      }),
      takeDirtyPages: log && (() => log.take()),
      dispose: () => disposal.run(),
    };
  }

  /** A back-end that translates needs the platform's hardware; the access of any other is limited by its regions. */
  #openMemory(
    connection: VhostUserConnection,
    { translates, memorySlots }: BackEnd,
    backChannel: BackChannel | undefined,
    faults: FaultLog,
    queues: readonly VhostUserQueue[],
  ): DeviceMemory {
    const { simulate, memory: size, recorder } = this.request;
    if (!translates || simulate === undefined || backChannel === undefined) {
      return openDeviceMemory(this.request, connection, memorySlots, queues);
    }
    const { iotlb } = this.options;
    return openTranslatedMemory(connection, { simulate, size, faults, iotlb, backChannel, recorder });
  }

  /** Starts the back-end, with a folder of its own for its socket. */
  async #start(command: readonly string[], disposal: Disposal): Promise<StartedBackEnd> {
    const folder = new TemporaryFolder();
    disposal.add(() => folder.dispose());
    const socket = folder.pathOf('socket');
    const takesImage = command.some((argument) => argument.includes(IMAGE_PLACEHOLDER));
    const image = takesImage ? this.#image(folder) : '';
    const filled = command.map((argument) =>
      argument.replaceAll(SOCKET_PLACEHOLDER, () => socket).replaceAll(IMAGE_PLACEHOLDER, () => image),
    );
    const backEnd = await StartedProgram.start(filled, {
      role: 'back-end',
      hint: 'machine.command has to name a program that this user may run: run it by hand and see what it says',
      folder: this.request.baseDirectory,
      errorFile: folder.pathOf('stderr'),
      abandon: () => folder.dispose(),
    });
    const programs = new BackEndPrograms(backEnd);
    disposal.add(() => programs.end());
    return { programs, socket };
  }

  /** The image of the profile, or an empty one. */
  #image(folder: TemporaryFolder): string {
    const { type, settings } = this.request.device;
    const wanted = type.image?.(settings);
    if (wanted === undefined) {
      const problem = `a device of type ${type.name} has no image for ${IMAGE_PLACEHOLDER}`;
      throw new CodedError('ERR_MACHINE_DEVICE', problem, {
        hint: `name the image itself in machine.command, or leave ${IMAGE_PLACEHOLDER} out`,
      });
    }
    const { path: image, capacity } = wanted;
    if (image !== undefined) return resolve(this.request.baseDirectory, image);
    return folder.createSparseFile('image', capacity);
  }

  /** Connects, and tries again while a back-end that was started is not listening yet. */
  async #connect(path: string, started: StartedProgram | undefined): Promise<UnixSocket> {
    const deadline = performance.now() + this.options.startTimeout;
    for (;;) {
      try {
        return UnixSocket.connect(path);
      } catch (error) {
        if (!(error instanceof HostError) || !NOT_YET.includes(error.errno)) throw error;
        if (started === undefined && error.errno !== 'EAGAIN') throw notListening(path, error);
        if (started?.ending !== undefined) throw started.startError(`ended with ${started.ending} before it listened`);
        if (performance.now() > deadline) {
          const what = `did not accept a connection in ${this.options.startTimeout} ms`;
          throw started?.startError(what) ?? notListening(path, error);
        }
      }
      await setTimeout(RETRY_MS);
      this.request.signal?.throwIfAborted();
    }
  }
}

function notListening(path: string, cause: HostError): CodedError {
  return new CodedError('ERR_MACHINE_START', `no vhost-user back-end accepts connections at ${path} (${cause.errno})`, {
    hint: 'start the back-end first, or let machine.command start it; it serves one front-end at a time',
    cause,
  });
}
