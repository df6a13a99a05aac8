import { CodedError, FeatureSet } from '@virtio-platform/core';
import {
  encodeU64,
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
  /** How many memory regions it takes. */
  readonly memorySlots: number;
}

/** The index of a queue is a byte in SET_VRING_KICK. */
const MOST_QUEUES = 256;
/** A region is exchanged for another before it goes. */
const LEAST_SLOTS = 2n;
/** More than any back-end takes; bounds what a lying one makes of it. */
const MOST_SLOTS = 512;

const REQUIRED: readonly (readonly [bigint, string])[] = [
  [PROTOCOL_REPLY_ACK, 'REPLY_ACK'],
  [PROTOCOL_CONFIG, 'CONFIG'],
  [PROTOCOL_CONFIGURE_MEM_SLOTS, 'CONFIGURE_MEM_SLOTS'],
];

/** Internal to vhost: the driver is never shown them. */
const INTERNAL_FEATURES = FeatureSet.of(VHOST_F_LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES);

/**
 * Opens the conversation with a back-end: owner, features, protocol features. Throws `ERR_MACHINE_BACK_END` for one that lacks
 * what this machine is built on, and `ERR_DEVICE_LOST`.
 */
export function greetBackEnd(connection: VhostUserConnection): BackEnd {
  const ask = (request: 'GET_FEATURES' | 'GET_PROTOCOL_FEATURES' | 'GET_QUEUE_NUM' | 'GET_MAX_MEM_SLOTS'): bigint =>
    connection.query(request, new Uint8Array(0), 8).getBigUint64(0, true);
  const features = new FeatureSet(ask('GET_FEATURES'));
  if (!features.has(VHOST_USER_F_PROTOCOL_FEATURES)) throw unsuitable('protocol features');
  const offered = ask('GET_PROTOCOL_FEATURES');
  const missing = REQUIRED.filter(([mask]) => (offered & mask) === 0n).map(([, name]) => name);
  if (missing.length > 0) throw unsuitable(missing.join(', '));
  const hasQueueCount = (offered & PROTOCOL_MQ) !== 0n;
  const accepted = REQUIRED.reduce((sum, [mask]) => sum | mask, offered & PROTOCOL_MQ);
  connection.command('SET_PROTOCOL_FEATURES', encodeU64(accepted));
  connection.acknowledgeCommands();
  connection.command('SET_OWNER');
  return {
    features: features.minus(INTERNAL_FEATURES),
    queueCount: hasQueueCount ? bounded(ask('GET_QUEUE_NUM'), 1n, MOST_QUEUES, 'queues') : 1,
    memorySlots: bounded(ask('GET_MAX_MEM_SLOTS'), LEAST_SLOTS, MOST_SLOTS, 'memory regions'),
  };
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
