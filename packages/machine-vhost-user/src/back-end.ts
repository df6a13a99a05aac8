import { CodedError } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import {
  encodeU64,
  PROTOCOL_BACKEND_REQ,
  PROTOCOL_CONFIG,
  PROTOCOL_CONFIGURE_MEM_SLOTS,
  PROTOCOL_MQ,
  PROTOCOL_REPLY_ACK,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
} from './protocol.ts';
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
}

/** What a back-end is needed for. */
export interface BackEndUse {
  /** Whether it has to have the device's configuration. */
  readonly config: boolean;
  /** Whether the driver is to be offered ACCESS_PLATFORM of the back-end, where it has it. */
  readonly translation: boolean;
  /** Whether parts of memory are given and taken, where it does not translate. */
  readonly parts: boolean;
}

/** The index of a queue is a byte in SET_VRING_KICK. */
const MOST_QUEUES = 256;
/** A region is exchanged for another before it goes. */
const LEAST_SLOTS = 2n;
/** More than any back-end takes; bounds what a lying one makes of it. */
const MOST_SLOTS = 512;

/** Protocol features by the names of the specification. */
const PROTOCOL = {
  REPLY_ACK: PROTOCOL_REPLY_ACK,
  CONFIG: PROTOCOL_CONFIG,
  BACKEND_REQ: PROTOCOL_BACKEND_REQ,
  CONFIGURE_MEM_SLOTS: PROTOCOL_CONFIGURE_MEM_SLOTS,
} as const;
type ProtocolFeature = keyof typeof PROTOCOL;

/** Internal to vhost: the driver is never shown them. */
const INTERNAL_FEATURES = FeatureSet.of(VHOST_F_LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES);

/**
 * Opens the conversation with a back-end: owner, features, protocol features. Throws `ERR_MACHINE_BACK_END` for one
 * that lacks what it is needed for, and `ERR_DEVICE_LOST`.
 */
export function negotiateProtocol(connection: VhostUserConnection, use: BackEndUse): BackEnd {
  const ask = (request: 'GET_FEATURES' | 'GET_PROTOCOL_FEATURES' | 'GET_QUEUE_NUM' | 'GET_MAX_MEM_SLOTS'): bigint =>
    connection.query(request, new Uint8Array(0), 8).getBigUint64(0, true);
  const features = new FeatureSet(ask('GET_FEATURES'));
  if (!features.has(VHOST_USER_F_PROTOCOL_FEATURES)) throw unsuitable('protocol features');
  const translates = use.translation && features.has(VIRTIO_F_ACCESS_PLATFORM);
  const offered = ask('GET_PROTOCOL_FEATURES');
  const required = requiredFeatures(use, translates);
  const missing = required.filter((name) => (offered & PROTOCOL[name]) === 0n);
  if (missing.length > 0) throw unsuitable(missing.join(', '));
  const hasQueueCount = (offered & PROTOCOL_MQ) !== 0n;
  // Where memory is translated it is all in one table, so that nothing is asked about regions.
  const optional = offered & (PROTOCOL_MQ | (translates ? 0n : PROTOCOL_CONFIGURE_MEM_SLOTS));
  const accepted = required.reduce((sum, name) => sum | PROTOCOL[name], optional);
  connection.command('SET_PROTOCOL_FEATURES', encodeU64(accepted));
  connection.acknowledgeCommands();
  connection.command('SET_OWNER');
  const hasSlots = (accepted & PROTOCOL_CONFIGURE_MEM_SLOTS) !== 0n;
  return {
    features: features.minus(INTERNAL_FEATURES),
    queueCount: hasQueueCount ? bounded(ask('GET_QUEUE_NUM'), 1n, MOST_QUEUES, 'queues') : 1,
    memorySlots: hasSlots ? bounded(ask('GET_MAX_MEM_SLOTS'), LEAST_SLOTS, MOST_SLOTS, 'memory regions') : 0,
    translates,
  };
}

function requiredFeatures({ config, parts }: BackEndUse, translates: boolean): ProtocolFeature[] {
  const required: ProtocolFeature[] = ['REPLY_ACK'];
  if (config) required.push('CONFIG');
  if (translates) required.push('BACKEND_REQ');
  else if (parts) required.push('CONFIGURE_MEM_SLOTS');
  return required;
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
