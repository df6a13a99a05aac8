import { CodedError, type DeviceTypePlugin, type VhostUserDevice } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import {
  encodeU64,
  VHOST_F_LOG_ALL,
  protocolFeatureNames,
  protocolFeatures,
  VHOST_USER_F_PROTOCOL_FEATURES,
  type ProtocolFeatureName,
} from '@virtio-platform/vhost-user';
import type { VhostUserConnection } from './vhost-user-connection.ts';

/** What a back-end says of itself. */
export interface BackEnd {
  /** Device features, without those of the protocol. */
  readonly features: FeatureSet;
  readonly queueCount: number;
  /** How many memory regions it takes one by one; 0 where it takes only a table of all. */
  readonly memorySlots: number;
  /** Whether it asks for the translation of every address: it offers ACCESS_PLATFORM, and is to be asked for it. */
  readonly translates: boolean;
  /** Whether it has the device's configuration. */
  readonly hasConfig: boolean;
  /** Whether it takes a back channel, on which it makes requests. */
  readonly hasBackChannel: boolean;
  /** Whether it keeps a record of what is in flight for the front-end. */
  readonly hasInFlight: boolean;
  /** Whether it takes a reset of the device as a message. */
  readonly canReset: boolean;
  /** The protocol features that were accepted. */
  readonly protocol: bigint;
}

/** What a back-end is needed for. */
export interface BackEndUse {
  readonly type: DeviceTypePlugin;
  /** Whether the driver is to be offered ACCESS_PLATFORM of the back-end, where it has it. */
  readonly translation: boolean;
  /** Whether parts of memory are given and taken, where it does not translate. */
  readonly parts: boolean;
  /** Whether another process may have to go on where it ended. */
  readonly reconnect: boolean;
  /** Whether it has to log what it writes to. */
  readonly log: boolean;
}

/** The index of a queue is a byte in SET_VRING_KICK. */
const MOST_QUEUES = 256;
/** A region is exchanged for another before it goes. */
const LEAST_SLOTS = 2n;
/** More than any back-end takes; bounds what a lying one makes of it. */
const MOST_SLOTS = 512;

/** Queries that a back-end answers with one u64. */
type U64Query = 'GET_FEATURES' | 'GET_PROTOCOL_FEATURES' | 'GET_QUEUE_NUM' | 'GET_MAX_MEM_SLOTS';

/** The facts of a type that states none: its back-ends have the configuration, where the type has any. */
export function factsOf({ vhostUser, config }: DeviceTypePlugin): VhostUserDevice<unknown> {
  const hasFields = Object.keys(config).length > 0;
  return vhostUser ?? { queues: 1, counted: 1, config: hasFields ? 'required' : 'none', drains: false };
}

/** Internal to vhost: the driver is never shown them. */
const INTERNAL_FEATURES = FeatureSet.of(VHOST_F_LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES);

/**
 * Opens the conversation with a back-end: owner, features, protocol features. Throws `ERR_MACHINE_BACK_END` for one
 * that lacks what it is needed for, and `ERR_DEVICE_LOST`.
 */
export async function negotiateProtocol(connection: VhostUserConnection, use: BackEndUse): Promise<BackEnd> {
  const ask = async (request: U64Query): Promise<bigint> =>
    (await connection.ask(request, new Uint8Array(0), 8)).getBigUint64(0, true);
  const facts = factsOf(use.type);
  const features = new FeatureSet(await ask('GET_FEATURES'));
  if (!features.has(VHOST_USER_F_PROTOCOL_FEATURES)) throw unsuitable('protocol features');
  if (use.log && !features.has(VHOST_F_LOG_ALL)) throw unsuitable('VHOST_F_LOG_ALL (machine.dirtyLog)');
  const translates = use.translation && features.has(VIRTIO_F_ACCESS_PLATFORM);
  const offered = await ask('GET_PROTOCOL_FEATURES');
  const required = requiredFeatures(use, facts, translates);
  const missing = required.filter((name) => (offered & protocolFeatures(name)) === 0n);
  if (missing.length > 0) throw unsuitable(missing.join(', '));
  const hasConfig = facts.config !== 'none' && (offered & protocolFeatures('CONFIG')) !== 0n;
  // Without configuration or translations a back-end has nothing to say on a back channel.
  const spoken =
    (hasConfig ? protocolFeatures('CONFIG') : 0n) |
    (use.reconnect ? protocolFeatures('INFLIGHT_SHMFD') : 0n) |
    (hasConfig || translates ? protocolFeatures('BACKEND_REQ') : 0n);
  // Where memory is translated it is all in one table, so that nothing is asked about regions.
  const optional =
    offered &
    (protocolFeatures('MQ', 'RESET_DEVICE') | spoken | (translates ? 0n : protocolFeatures('CONFIGURE_MEM_SLOTS')));
  const accepted = required.reduce((sum, name) => sum | protocolFeatures(name), optional);
  await connection.tell('SET_PROTOCOL_FEATURES', encodeU64(accepted));
  connection.acknowledgeCommands();
  await connection.tell('SET_OWNER');
  const hasQueueCount = (accepted & protocolFeatures('MQ')) !== 0n;
  const hasSlots = (accepted & protocolFeatures('CONFIGURE_MEM_SLOTS')) !== 0n;
  const counted = hasQueueCount ? bounded(await ask('GET_QUEUE_NUM'), 1n, MOST_QUEUES, 'queues') : 0;
  const shown = hasConfig || facts.config !== 'of-features' ? features : features.minus(configuredFeatures(use.type));
  return {
    features: shown.minus(INTERNAL_FEATURES),
    queueCount: hasQueueCount ? Math.min(counted * facts.counted, MOST_QUEUES) : facts.queues,
    memorySlots: hasSlots ? bounded(await ask('GET_MAX_MEM_SLOTS'), LEAST_SLOTS, MOST_SLOTS, 'memory regions') : 0,
    translates,
    hasConfig,
    hasBackChannel: (accepted & protocolFeatures('BACKEND_REQ')) !== 0n,
    canReset: (accepted & protocolFeatures('RESET_DEVICE')) !== 0n,
    hasInFlight: (accepted & protocolFeatures('INFLIGHT_SHMFD')) !== 0n,
    protocol: accepted,
  };
}

/**
 * Opens the conversation with the process that is there in the place of a back-end, on a connection that was renewed.
 * Throws `ERR_MACHINE_BACK_END` for one that has less than `before`, and `ERR_DEVICE_LOST`.
 */
export function renegotiateProtocol(
  connection: VhostUserConnection,
  before: BackEnd,
  { counted }: Pick<VhostUserDevice<unknown>, 'counted'>,
): void {
  const ask = (request: U64Query): bigint => connection.query(request, new Uint8Array(0), 8).getBigUint64(0, true);
  const missing = before.features.minus(new FeatureSet(ask('GET_FEATURES')));
  if (missing.bits !== 0n) throw unsuitable(`features that it had: 0x${missing.bits.toString(16)}`);
  const { protocol, queueCount, memorySlots } = before;
  const missingProtocol = protocol & ~ask('GET_PROTOCOL_FEATURES');
  if (missingProtocol !== 0n) throw unsuitable(protocolFeatureNames(missingProtocol).join(', '));
  connection.command('SET_PROTOCOL_FEATURES', encodeU64(protocol));
  connection.acknowledgeCommands();
  connection.command('SET_OWNER');
  if ((protocol & protocolFeatures('MQ')) !== 0n && ask('GET_QUEUE_NUM') * BigInt(counted) < BigInt(queueCount))
    throw unsuitable('queues');
  if (memorySlots > 0 && ask('GET_MAX_MEM_SLOTS') < BigInt(memorySlots)) throw unsuitable('memory regions');
}

function requiredFeatures(
  { parts, log }: BackEndUse,
  { config }: VhostUserDevice<unknown>,
  translates: boolean,
): ProtocolFeatureName[] {
  const required: ProtocolFeatureName[] = ['REPLY_ACK'];
  if (config === 'required') required.push('CONFIG');
  if (log) required.push('LOG_SHMFD');
  if (translates) required.push('BACKEND_REQ');
  else if (parts) required.push('CONFIGURE_MEM_SLOTS');
  return required;
}

/** The features of a type that have fields of the configuration. */
function configuredFeatures({ config }: DeviceTypePlugin): FeatureSet {
  return FeatureSet.of(...Object.values(config).flatMap(({ feature = [] }) => feature));
}

function bounded(value: bigint, least: bigint, most: number, what: string): number {
  if (value < least) throw unsuitable(what);
  return value < BigInt(most) ? Number(value) : most;
}

function unsuitable(what: string): CodedError {
  return new CodedError('ERR_MACHINE_BACK_END', `the vhost-user back-end lacks ${what}`, {
    hint: 'use a back-end built on a current libvhost-user or vhost-user-backend, such as qemu-storage-daemon',
  });
}
