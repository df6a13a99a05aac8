import { PeerStream } from '@virtio-platform/host';
import { BACK_END_REQUESTS, encodeIotlbMessage, encodeMessage, IotlbMessageType } from '@virtio-platform/vhost-user';

/** How long a front-end may take to make room for a request. */
const SEND_MS = 100;

/**
 * The channel on which the back-end asks the front-end: a socket that the front-end gave, or a pipe (User Mode Linux
 * gives one). It sends no answer: none is asked for.
 */
export class RequestChannel {
  readonly #stream: PeerStream;

  /** Takes the descriptor over. Throws {@link HostError} for one that is no stream to write to. */
  constructor(descriptor: number) {
    this.#stream = new PeerStream(descriptor);
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
    this.#stream.dispose();
  }

  #send(request: number, payload: Uint8Array): boolean {
    return this.#stream.send(encodeMessage({ request, flags: 0, payload }), SEND_MS) === 'done';
  }
}
