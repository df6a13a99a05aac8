import type { AvailableRequest, RequestMistake, RequestMistakeKind } from '@virtio-platform/core';
import { readChain } from '@virtio-platform/device-kit';
import { NET_COMMAND_SIZE, NET_HASH_HEADER_SIZE, NET_LONGEST_PACKET, NET_RECEIVE_BUFFER } from './layout.ts';
import * as feature from './net-features.ts';
import type { NetSettings } from './net-settings.ts';
import { headerProblem, type HeaderProblem } from './offload/header-problem.ts';
import { NetHeader, netHeaderSize } from './offload/net-header.ts';
import { hostOffloads } from './offload/offload-set.ts';
import { PacketLayers } from './offload/packet-layers.ts';

/** Fewest bytes of a receive buffer of a driver that takes long packets whole (section 5.1.6.3.1). */
const LONG_RECEIVE_BUFFER = 65_562;

const HEADER_PROBLEMS: Readonly<Record<HeaderProblem, readonly [kind: RequestMistakeKind, what: string]>> = {
  'checksum-not-negotiated': ['feature', 'leaves the checksum to the device: that needs NET_CSUM'],
  'checksum-outside': ['value', 'has its checksum outside of the frame: csum_start, csum_offset'],
  'header-length': ['value', 'has an hdr_len beyond its frame'],
  'gso-not-negotiated': ['feature', 'has a gso_type whose feature was not accepted'],
  'gso-size': ['value', 'has a gso_size that cuts into no packets'],
  'gso-without-checksum': ['value', 'has a gso_type without VIRTIO_NET_HDR_F_NEEDS_CSUM'],
  'gso-protocol': ['value', 'has a gso_type, csum_start or csum_offset of another protocol than its frame'],
};

/** What is wrong with a buffer of a network device (specification 1.4 sections 5.1.6.2.1, 5.1.6.3.1 and 5.1.6.5). */
export function checkNetRequest(request: AvailableRequest<NetSettings>): RequestMistake | undefined {
  const { queue, accepted, settings } = request;
  const hasPairs = accepted.has(feature.VIRTIO_NET_F_MQ) || accepted.has(feature.VIRTIO_NET_F_RSS);
  const control = accepted.has(feature.VIRTIO_NET_F_CTRL_VQ) ? 2 * (hasPairs ? settings.queuePairs : 1) : -1;
  if (queue === control) return commandProblem(request);
  return queue % 2 === 0 ? receiveProblem(request) : transmitProblem(request);
}

function receiveProblem({ chain, accepted }: AvailableRequest): RequestMistake | undefined {
  const clause = '5.1.6.3.1';
  if (chain.readable > 0)
    return { kind: 'direction', clause, what: 'is a receive buffer that the device may only read' };
  const header = netHeaderSize(accepted);
  const isLong = accepted.has(feature.VIRTIO_NET_F_GUEST_TSO4) || accepted.has(feature.VIRTIO_NET_F_GUEST_TSO6);
  const whole = isLong ? LONG_RECEIVE_BUFFER : NET_RECEIVE_BUFFER;
  const least = accepted.has(feature.VIRTIO_NET_F_MRG_RXBUF) ? header : whole;
  if (chain.writableBytes >= least) return undefined;
  const what = `is a receive buffer of ${chain.writableBytes} bytes, of which a driver with these features gives ${least}`;
  return { kind: 'length', clause, what };
}

function transmitProblem({ chain, space, accepted }: AvailableRequest): RequestMistake | undefined {
  const clause = '5.1.6.2.1';
  if (chain.writableBytes > 0)
    return {
      kind: 'direction',
      clause: '5.1.6.2',
      what: 'is a frame of which the device may write a part',
      segment: chain.readable,
    };
  const size = netHeaderSize(accepted);
  const length = chain.readableBytes - size;
  if (length <= 0)
    return { kind: 'header', clause, what: `has ${chain.readableBytes} bytes: the header alone has ${size}` };
  if (length > NET_LONGEST_PACKET) return { kind: 'length', clause, what: `is a frame of ${length} bytes` };
  const bytes = new Uint8Array(NET_HASH_HEADER_SIZE);
  const frame = new Uint8Array(length);
  if (!readChain(chain, space, 0, bytes, 0, size) || !readChain(chain, space, size, frame, 0, length)) return undefined;
  const header = new NetHeader();
  header.read(new DataView(bytes.buffer), size, true);
  const layers = new PacketLayers();
  layers.read(frame, length);
  const problem = headerProblem(header, length, layers, hostOffloads(accepted));
  if (problem === undefined) return undefined;
  const [kind, what] = HEADER_PROBLEMS[problem];
  return { kind, clause, what };
}

function commandProblem({ chain }: AvailableRequest): RequestMistake | undefined {
  const clause = '5.1.6.5';
  if (chain.readableBytes < NET_COMMAND_SIZE)
    return { kind: 'header', clause, what: `is a command of ${chain.readableBytes} bytes: class and command have 2` };
  if (chain.writableBytes === 0)
    return { kind: 'status', clause, what: 'is a command without a byte for its acknowledgement' };
  return undefined;
}
