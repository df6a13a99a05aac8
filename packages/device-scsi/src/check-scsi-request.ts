import type { AvailableRequest, RequestMistake } from '@virtio-platform/core';
import { readChain } from '@virtio-platform/device-kit';
import * as wire from './layout.ts';
import { SCSI_CONFIG } from './scsi-config.ts';

/** What is wrong with a buffer of a SCSI host (specification 1.4 sections 5.6.6.1 to 5.6.6.3). */
export function checkScsiRequest(request: AvailableRequest): RequestMistake | undefined {
  if (request.queue === wire.SCSI_CONTROL_QUEUE) return controlProblem(request);
  return request.queue === wire.SCSI_EVENT_QUEUE ? eventProblem(request) : commandProblem(request);
}

function commandProblem({ chain, config }: AvailableRequest): RequestMistake | undefined {
  const clause = '5.6.6.1';
  const view = new DataView(config.buffer, config.byteOffset);
  const header = wire.SCSI_REQUEST_HEADER_SIZE + view.getUint32(SCSI_CONFIG.cdb_size.offset, true);
  if (chain.readableBytes < header)
    return { kind: 'header', clause, what: `has ${chain.readableBytes} bytes of a request of ${header}` };
  const answer = wire.SCSI_RESPONSE_HEADER_SIZE + view.getUint32(SCSI_CONFIG.sense_size.offset, true);
  if (chain.writableBytes >= answer) return undefined;
  const what = `has ${chain.writableBytes} bytes for a response of ${answer}`;
  return { kind: 'status', clause, what, segment: chain.readable };
}

function controlProblem({ chain, space }: AvailableRequest): RequestMistake | undefined {
  const clause = '5.6.6.2';
  const bytes = new Uint8Array(4);
  if (chain.readableBytes < bytes.length)
    return { kind: 'header', clause, what: `has ${chain.readableBytes} bytes: the type alone has ${bytes.length}` };
  if (!readChain(chain, space, 0, bytes, 0, bytes.length)) return undefined;
  const type = new DataView(bytes.buffer).getUint32(0, true);
  if (type > wire.VIRTIO_SCSI_T_AN_SUBSCRIBE)
    return { kind: 'value', clause, what: `is a control request of type ${type}, which does not exist` };
  const [size, room] =
    type === wire.VIRTIO_SCSI_T_TMF ? [wire.SCSI_TMF_SIZE, 1] : [wire.SCSI_AN_SIZE, wire.SCSI_AN_ANSWER_SIZE];
  if (chain.readableBytes < size)
    return { kind: 'header', clause, what: `has ${chain.readableBytes} bytes of a control request of ${size}` };
  if (chain.writableBytes >= room) return undefined;
  return { kind: 'status', clause, what: `has ${chain.writableBytes} bytes for a response of ${room}` };
}

function eventProblem({ chain }: AvailableRequest): RequestMistake | undefined {
  const clause = '5.6.6.3';
  if (chain.readable > 0)
    return { kind: 'direction', clause, what: 'is a buffer for events that the device may only read' };
  if (chain.writableBytes >= wire.SCSI_EVENT_SIZE) return undefined;
  const what = `is a buffer for events of ${chain.writableBytes} bytes: an event has ${wire.SCSI_EVENT_SIZE}`;
  return { kind: 'length', clause, what };
}
