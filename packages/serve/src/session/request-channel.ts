import { inspectDescriptor, closeDescriptor, UnixSocket } from '@virtio-platform/host';
import { BACK_END_REQUESTS, encodeIotlbMessage, IotlbMessageType, sendMessage } from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';

/** How long a front-end may take to make room for a request. */
const SEND_MS = 100;

/** The channel on which the back-end asks the front-end: a socket that the front-end gave. It sends no answer. */
export class RequestChannel {
  readonly #socket: UnixSocket;

  /** Takes the descriptor over. Throws {@link FrontEndViolation} for one that is no socket. */
  constructor(descriptor: number) {
    if (inspectDescriptor(descriptor).kind !== 'socket') {
      closeDescriptor(descriptor);
      throw new FrontEndViolation('gives a back channel that is no socket');
    }
    this.#socket = UnixSocket.adopt(descriptor);
  }

  /** Asks for a translation. Returns false where the front-end does not take the request. */
  miss(low: number, high: number, permission: number): boolean {
    const payload = encodeIotlbMessage({ type: IotlbMessageType.Miss, low, high, size: 0, permission });
    return this.#send(BACK_END_REQUESTS.IOTLB_MSG, payload);
  }

  /** Tells that the configuration changed. Returns false where the front-end does not take the message. */
  configChanged(): boolean {
    return this.#send(BACK_END_REQUESTS.CONFIG_CHANGE_MSG, new Uint8Array(0));
  }

  dispose(): void {
    this.#socket.dispose();
  }

  #send(request: number, payload: Uint8Array): boolean {
    return sendMessage(this.#socket, { request, flags: 0, payload }, SEND_MS) === 'done';
  }
}
