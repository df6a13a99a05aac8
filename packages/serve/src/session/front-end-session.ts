import { describeError, isCodedError, messageOf, type DeviceTypePlugin } from '@virtio-platform/core';
import { FaultLog, type DeviceFault } from '@virtio-platform/core/address-space';
import { DeviceStatus } from '@virtio-platform/core/device';
import { FeatureSet, unmetDependency, VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { ReadableWait, type MemoryFile, type UnixSocket } from '@virtio-platform/host';
import {
  decodeInFlight,
  decodeIotlbMessage,
  decodeMemoryTable,
  decodeRegion,
  decodeSharedArea,
  decodeU64,
  decodeVringAddress,
  decodeVringState,
  encodeInFlight,
  encodeU64,
  encodeVringState,
  IOTLB_WRITE,
  IotlbMessageType,
  protocolFeatureNames,
  protocolFeatures,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VRING_F_LOG,
  type ProtocolFeatureName,
  type RequestName,
} from '@virtio-platform/vhost-user';
import type { ServedDevice } from '../device/served-device.ts';
import { FrontEndViolation } from '../front-end-violation.ts';
import { InFlightFile } from '../in-flight/in-flight-file.ts';
import { DirtyLog } from '../log/dirty-log.ts';
import { LoggedAddressSpace } from '../log/logged-address-space.ts';
import { IotlbCache } from '../memory/iotlb-cache.ts';
import { ServedMemory } from '../memory/served-memory.ts';
import type { ServeEvent, SessionStatistics } from '../serve-events.ts';
import { readConfig, writeConfig } from './config-messages.ts';
import { FrontEndChannel, type FrontEndMessage } from './front-end-channel.ts';
import { MESSAGE_RULES } from './message-rules.ts';
import { RequestChannel } from './request-channel.ts';
import { Rings } from './rings.ts';

/** An answer that brings a file along, which is closed then. */
interface Given {
  readonly payload: Uint8Array;
  readonly file: MemoryFile;
}

/** The payload of the answer to a question. */
type Answer = Uint8Array | Given | void;

/** What is served, and to whom what happens is told. */
export interface SessionOptions {
  readonly type: Pick<DeviceTypePlugin, 'features' | 'config' | 'vhostUser'>;
  readonly device: ServedDevice;
  readonly memory: ServedMemory;
  /** Device features, without that of the protocol. */
  readonly offers: FeatureSet;
  /** Features with which the device half works whether they are accepted or not. */
  readonly assumed: FeatureSet;
  readonly protocol: readonly ProtocolFeatureName[];
  readonly emit: (event: ServeEvent) => void;
  /** The device is gone for good, on purpose. */
  readonly died: () => void;
}

/** The bits of SET_VRING_KICK, _CALL and _ERR that name the queue, and the one that says that no descriptor comes. */
const QUEUE_BITS = 0xffn;
const NO_DESCRIPTOR = 0x100n;
/** How long a translation is waited for: a front-end answers no question that it refuses. */
const MISS_MS = 1000;
/** Messages in a row before the event loop runs on. */
const MOST_AT_ONCE = 64;
/** Refused accesses that are told; of those behind them only the number. */
const MOST_FAULTS_TOLD = 8;
/** How often the device misbehaves in one way until only each power of two is told. */
const MOST_TOLD = 8;
const DONE = encodeU64(0n);
const REFUSED = encodeU64(1n);

/**
 * One front-end, from its connection to its end. Each message is checked, and done before the next is read. What cannot
 * be is refused where the front-end waits for the result, and otherwise ends the connection.
 */
export class FrontEndSession {
  readonly #options: SessionOptions;
  readonly #channel: FrontEndChannel;
  readonly #rings: Rings;
  readonly #iotlb: IotlbCache;
  readonly #log: DirtyLog;
  readonly #faults: FaultLog;
  readonly #wait: ReadableWait;
  readonly #servedBefore: number;
  #requests: RequestChannel | undefined;
  #protocol = 0n;
  #status = 0;
  #isEnded = false;
  #faultCount = 0;
  /** Whether the last wait for a translation was given up, so that nothing is known of the address. */
  #isAbandoned = false;

  /** Takes the socket over. Throws {@link HostError}. */
  constructor(socket: UnixSocket, options: SessionOptions) {
    this.#options = options;
    this.#channel = new FrontEndChannel(socket);
    const { device, memory, assumed, emit } = options;
    this.#servedBefore = device.served;
    this.#faults = new FaultLog((fault) => this.#tellFault(fault));
    this.#iotlb = new IotlbCache(memory, (low, high, permission) => this.#askTranslation(low, high, permission));
    this.#log = new DirtyLog(memory, (text) => this.#tell('front-end', text));
    const spaceFor = (accepted: FeatureSet): LoggedAddressSpace => {
      const isIoVirtual = accepted.has(VIRTIO_F_ACCESS_PLATFORM);
      const translation = isIoVirtual ? this.#iotlb : memory;
      const knows = (low: number, high: number): boolean => !isIoVirtual || this.#iotlb.knows(low, high, IOTLB_WRITE);
      return new LoggedAddressSpace(memory.memory, this.#faults, { translation, isIoVirtual, knows }, this.#log);
    };
    const kicked = (index: number, count: number): void => device.kicked(index, count, () => this.#isLive);
    const isJournaled = (): boolean => this.#has('INFLIGHT_SHMFD') || this.#has('LOG_SHMFD');
    this.#rings = new Rings({ device, memory, assumed, spaceFor, isJournaled, kicked, emit });
    this.#wait = new ReadableWait(this.#channel.descriptor);
  }

  get statistics(): SessionStatistics {
    return {
      buffers: this.#options.device.served - this.#servedBefore,
      ...this.#rings.notifications,
      misses: this.#iotlb.misses,
      faults: this.#faultCount,
    };
  }

  /** Serves the front-end until it is gone, does what cannot be, or {@link end} is called. */
  async run(): Promise<void> {
    const { device, emit } = this.#options;
    device.listen({
      notify: (queue) => this.#rings.call(queue),
      broken: (queue, text) => this.#tellBroken(queue, text),
      failed: (queue, text) => this.#tell('device', queue < 0 ? text : `queue ${queue}: ${text}`),
      configChanged: () => this.#tellConfigChange(),
      misbehaved: (way, queue, head, count) => {
        const isTold = count <= MOST_TOLD || (count & (count - 1)) === 0;
        if (isTold) emit({ kind: 'misbehaved', way, queue, buffer: head < 0 ? undefined : head, count });
      },
      died: (text) => {
        this.#tell('device', text);
        this.end();
        this.#options.died();
      },
    });
    try {
      device.run(true);
      while (!this.#isEnded) {
        await this.#wait.wait();
        this.#handleWaiting();
      }
    } finally {
      this.#dispose();
    }
  }

  /** Ends the connection. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#wait.wake();
  }

  #dispose(): void {
    const { device, memory } = this.#options;
    device.run(false);
    this.#rings.dispose();
    device.listen(undefined);
    device.reset();
    this.#log.dispose();
    this.#iotlb.clear();
    memory.clear();
    this.#requests?.dispose();
    this.#wait.dispose();
    this.#channel.dispose();
  }

  #handleWaiting(): void {
    try {
      for (let left = MOST_AT_ONCE; left > 0 && !this.#isEnded; left--) {
        this.#rings.open();
        if (this.#isEnded || !this.#channel.isReadable) return;
        const message = this.#channel.receive(0);
        if (typeof message === 'string') return message === 'closed' ? this.end() : undefined;
        this.#handle(message);
      }
    } catch (error) {
      this.#lose(error);
    }
  }

  /** Does what a message asks for, and answers. Throws {@link FrontEndViolation} where the connection is to end. */
  #handle(message: FrontEndMessage): void {
    const { name } = message;
    // The message that accepts acknowledgements is acknowledged too, as User Mode Linux has it.
    const wantsReply = (): boolean => message.wantsReply && this.#has('REPLY_ACK');
    try {
      const answer = this.#execute(message);
      this.#rings.check();
      if (answer instanceof Uint8Array) this.#channel.reply(name, answer);
      else if (answer !== undefined) this.#give(name, answer);
      else if (wantsReply()) this.#channel.reply(name, DONE);
    } catch (error) {
      if (!wantsReply() || MESSAGE_RULES[name]?.isAnswered === true || !isRefusal(error)) throw error;
      this.#tell('front-end', `${messageOf(error)} (${name}); refused`);
      this.#channel.reply(name, REFUSED);
    } finally {
      message.dispose();
    }
  }

  #give(name: RequestName, { payload, file }: Given): void {
    try {
      this.#channel.reply(name, payload, [file.descriptor]);
    } finally {
      file.dispose();
    }
  }

  /** Returns the answer of a question, or `undefined`. */
  #execute(message: FrontEndMessage): Answer {
    const { name, payload } = message;
    const { needs } = MESSAGE_RULES[name]!;
    if (needs !== undefined && !this.#has(needs))
      throw new FrontEndViolation(`sent ${name} without having accepted the protocol feature ${needs}`);
    const { device, memory } = this.#options;
    switch (name) {
      case 'GET_FEATURES':
        return encodeU64(this.#offered.bits);
      case 'SET_FEATURES':
        return this.#accept(new FeatureSet(decodeU64(payload)));
      case 'GET_PROTOCOL_FEATURES':
        return encodeU64(protocolFeatures(...this.#options.protocol));
      case 'SET_PROTOCOL_FEATURES':
        return this.#acceptProtocol(decodeU64(payload));
      case 'GET_QUEUE_NUM':
        return encodeU64(BigInt(this.#countedQueues));
      case 'SET_MEM_TABLE': {
        const regions = decodeMemoryTable(payload);
        if (regions === undefined) throw new FrontEndViolation(`sent a table of ${payload.byteLength} bytes`);
        return memory.replace(regions, message.takeDescriptors());
      }
      case 'GET_MAX_MEM_SLOTS':
        return encodeU64(BigInt(ServedMemory.SLOTS));
      case 'ADD_MEM_REG': {
        const descriptor = message.takeDescriptor();
        if (descriptor === undefined) throw new FrontEndViolation('gives memory without a descriptor');
        return memory.add(decodeRegion(payload), descriptor);
      }
      case 'REM_MEM_REG':
        return memory.remove(decodeRegion(payload));
      case 'SET_LOG_BASE': {
        const descriptor = message.takeDescriptor();
        if (descriptor === undefined) throw new FrontEndViolation('gives a log of dirty pages without a descriptor');
        this.#log.moveTo(decodeSharedArea(payload), descriptor);
        return DONE;
      }
      case 'SET_LOG_FD':
        return this.#log.signalWith(message.takeDescriptor());
      case 'GET_INFLIGHT_FD':
        return this.#giveInFlight(payload);
      case 'SET_INFLIGHT_FD':
        return this.#takeInFlight(payload, message.takeDescriptor());
      case 'SET_BACKEND_REQ_FD':
        return this.#takeRequestChannel(message.takeDescriptor());
      case 'IOTLB_MSG':
        return this.#translate(payload);
      case 'GET_CONFIG':
        return readConfig(device.model, payload);
      case 'SET_CONFIG':
        if (!writeConfig(device.model, this.#options.type.config, payload)) {
          const what = 'bytes of the configuration were written that are no whole field that a driver may write';
          device.watch?.record('DRV-CONFIG-WRITE', what);
          this.#tell('driver', 'writes bytes of the configuration that are no whole field that it may write; ignored');
        }
        return undefined;
      case 'SET_STATUS':
        return this.#setStatus(Number(decodeU64(payload) & 0xffn));
      case 'GET_STATUS':
        return encodeU64(BigInt(this.#status));
      case 'RESET_DEVICE':
        return this.#reset();
      // The document asks back-ends to ignore the second: some took it for a reset of the whole connection.
      case 'SET_OWNER':
      case 'RESET_OWNER':
        return undefined;
      default:
        return this.#executeOfQueue(message);
    }
  }

  #executeOfQueue(message: FrontEndMessage): Answer {
    const { name, payload } = message;
    switch (name) {
      case 'SET_VRING_ADDR': {
        const { index, areas, flags, log } = decodeVringAddress(payload);
        return this.#rings.setAreas(index, areas, (flags & VRING_F_LOG) === 0 ? undefined : log);
      }
      case 'SET_VRING_KICK':
      case 'SET_VRING_CALL':
      case 'SET_VRING_ERR':
        return this.#setDescriptor(name, message);
    }
    const { index, value } = decodeVringState(payload);
    switch (name) {
      case 'SET_VRING_NUM':
        return this.#rings.setSize(index, value);
      case 'SET_VRING_BASE':
        return this.#rings.setBase(index, value);
      case 'GET_VRING_BASE':
        return encodeVringState(index, this.#stop(index));
      case 'SET_VRING_ENABLE':
        return this.#rings.enable(index, value);
      default:
        throw new FrontEndViolation(`sent ${name}, which was not negotiated`);
    }
  }

  #setDescriptor(name: 'SET_VRING_KICK' | 'SET_VRING_CALL' | 'SET_VRING_ERR', message: FrontEndMessage): undefined {
    const word = decodeU64(message.payload);
    const index = Number(word & QUEUE_BITS);
    this.#rings.checkIndex(index);
    const descriptor = message.takeDescriptor();
    if ((descriptor === undefined) !== ((word & NO_DESCRIPTOR) !== 0n)) {
      if (descriptor !== undefined) message.giveBack(descriptor);
      throw new FrontEndViolation(
        `sent ${name} of queue ${index} ${descriptor === undefined ? 'without' : 'with'} a descriptor`,
      );
    }
    if (name === 'SET_VRING_KICK') this.#rings.start(index, descriptor);
    else if (name === 'SET_VRING_CALL') this.#rings.callWith(index, descriptor);
    else this.#rings.reportWith(index, descriptor);
  }

  /** Whether the driver set DRIVER_OK, as far as the front-end tells: of some devices QEMU tells FEATURES_OK alone. */
  get #isLive(): boolean {
    return (this.#status & DeviceStatus.Driver) === 0 || (this.#status & DeviceStatus.DriverOk) !== 0;
  }

  get #offered(): FeatureSet {
    return this.#options.offers.with(VHOST_USER_F_PROTOCOL_FEATURES).with(VHOST_F_LOG_ALL);
  }

  /** Queues as GET_QUEUE_NUM counts them. */
  get #countedQueues(): number {
    return Math.floor(this.#options.device.queueCount / (this.#options.type.vhostUser?.counted ?? 1));
  }

  #has(feature: ProtocolFeatureName): boolean {
    return (this.#protocol & protocolFeatures(feature)) !== 0n;
  }

  #accept(features: FeatureSet): undefined {
    const unknown = features.minus(this.#offered);
    if (unknown.bits !== 0n) {
      const names = unknown.names(this.#options.type.features).join(', ');
      this.#options.device.watch?.record('DRV-FEATURE-NOT-OFFERED', `${names} was accepted and not offered`);
      throw new FrontEndViolation(`accepts what was not offered: ${names}`);
    }
    this.#rings.accept(features.without(VHOST_F_LOG_ALL));
    this.#log.isOn = features.has(VHOST_F_LOG_ALL);
  }

  /** A file for the record of what is in flight: the front-end keeps it, and gives it back in SET_INFLIGHT_FD. */
  #giveInFlight(payload: DataView): Given {
    const { queueCount, queueSize } = decodeInFlight(payload);
    const { device } = this.#options;
    const most = { queueCount: device.queueCount, queueSize: Math.max(...device.model.queueSizes) };
    const file = InFlightFile.create(this.#rings.layout, { queueCount, queueSize }, most);
    const answer = encodeInFlight({ size: BigInt(file.size), offset: 0n, queueCount, queueSize });
    return { payload: answer.subarray(0, payload.byteLength), file };
  }

  #takeInFlight(payload: DataView, descriptor: number | undefined): undefined {
    if (descriptor === undefined) throw new FrontEndViolation('gives a record of what is in flight by no descriptor');
    this.#rings.recordIn(new InFlightFile(decodeInFlight(payload), descriptor, this.#options.device.queueCount));
  }

  #acceptProtocol(mask: bigint): undefined {
    const unknown = mask & ~protocolFeatures(...this.#options.protocol);
    if (unknown !== 0n) {
      const names = protocolFeatureNames(unknown).join(', ') || `0x${unknown.toString(16)}`;
      throw new FrontEndViolation(`accepts protocol features that were not offered: ${names}`);
    }
    this.#protocol = mask;
  }

  #takeRequestChannel(descriptor: number | undefined): undefined {
    if (descriptor === undefined) throw new FrontEndViolation('gives a back channel without a descriptor');
    this.#requests?.dispose();
    this.#requests = undefined;
    this.#requests = new RequestChannel(descriptor);
  }

  #translate(payload: DataView): undefined {
    const message = decodeIotlbMessage(payload);
    if (message.type === IotlbMessageType.Update) this.#iotlb.update(message);
    else if (message.type === IotlbMessageType.Invalidate)
      this.#iotlb.invalidate(message.low, message.high, message.size);
    else throw new FrontEndViolation(`sent a message of type ${message.type} about translations`);
  }

  /** A driver that may not accept what it accepted finds FEATURES_OK cleared (specification 1.4 section 3.1.1). */
  #setStatus(status: number): undefined {
    if (status === 0) {
      this.#status = 0;
      // The rings stay as they are: the front-end asks where they stopped.
      this.#rings.setReady(false);
      this.#options.device.resetModel();
      return;
    }
    const accepted = (this.#rings.accepted ?? FeatureSet.EMPTY).minus(this.#options.assumed);
    const isClosed = unmetDependency(accepted, this.#options.type.features) === undefined;
    this.#status = isClosed ? status : status & ~DeviceStatus.FeaturesOk;
    if ((this.#status & DeviceStatus.DriverOk) !== 0) this.#rings.setReady(true);
  }

  /** Stops a ring. Returns where, as GET_VRING_BASE has it. */
  #stop(index: number): number {
    const position = this.#rings.stop(index);
    // QEMU says no more of what a driver unmaps while no ring is in use, and nothing of it when the next one starts.
    if (!this.#options.device.isInUse) this.#iotlb.clear();
    return position;
  }

  #reset(): undefined {
    this.#status = 0;
    this.#rings.reset();
    this.#iotlb.clear();
    this.#options.emit({ kind: 'reset' });
  }

  /**
   * Waits until the front-end translated an address, and does what it asks for meanwhile: it may wait for an answer
   * itself. Queues are opened only behind that. Gives up where the queue that is served is stopped.
   */
  #askTranslation(low: number, high: number, permission: number): boolean {
    this.#isAbandoned = false;
    if (this.#isEnded || this.#requests?.miss(low, high, permission) !== true) return false;
    const deadline = performance.now() + MISS_MS;
    try {
      while (!this.#isEnded && !this.#options.device.isServedQueueGone) {
        const message = this.#channel.receive(Math.max(0, deadline - performance.now()));
        if (message === 'timeout') return false;
        if (message === 'closed') break;
        this.#handle(message);
        if (this.#iotlb.knows(low, high, permission)) return true;
      }
    } catch (error) {
      this.#lose(error);
    } finally {
      // What was said meanwhile may have completed a queue.
      this.#wait.wake();
    }
    this.#isAbandoned = true;
    return false;
  }

  /** The connection is over because of what the front-end did, or because of what happened here. */
  #lose(error: unknown): void {
    if (this.#isEnded) return;
    this.end();
    if (isRefusal(error)) this.#tell('front-end', `${messageOf(error)}; the connection ends`);
    else this.#tell('device', `${describeError(error)}; the connection ends`);
  }

  #tell(by: 'front-end' | 'driver' | 'device', text: string): void {
    this.#options.emit({ kind: 'problem', by, text });
  }

  #tellFault(fault: DeviceFault): void {
    if (this.#isAbandoned) return;
    this.#options.device.watch?.faulted(fault);
    const { address, length, access, cause, detail } = fault;
    if (this.#faultCount++ >= MOST_FAULTS_TOLD) return;
    const what = detail ?? `${access} of ${length} bytes at 0x${address.toString(16)}: ${cause}`;
    this.#tell('driver', this.#faultCount === MOST_FAULTS_TOLD ? `${what}; later ones are counted` : what);
  }

  #tellBroken(queue: number, text: string): void {
    this.#tell(queue < 0 ? 'device' : 'driver', queue < 0 ? text : `queue ${queue}: ${text}`);
    this.#rings.reportBroken(queue);
    this.#status |= DeviceStatus.NeedsReset;
    // The driver learns of the status with a configuration change notification (section 2.1.2).
    if (this.#has('STATUS')) this.#tellConfigChange();
  }

  #tellConfigChange(): void {
    if (!this.#has('CONFIG') || this.#requests === undefined || this.#isEnded) return;
    if (!this.#requests.configChanged()) this.#tell('front-end', 'does not read its back channel');
  }
}

/** Whether an error says what is wrong with a front-end, or with what it gave. */
function isRefusal(error: unknown): boolean {
  return error instanceof FrontEndViolation || (isCodedError(error) && error.code === 'ERR_SYSCALL');
}
