/** What a {@link RequestQueue} has to know of a request. */
export interface QueuedRequest {
  readonly isEnded: boolean;
}

/** Ended requests in the list, besides as many as wait, before they are removed from it. */
const MOST_ENDED = 64;

/** Requests that wait for their turn, first in, first out. */
export class RequestQueue<Request extends QueuedRequest> {
  #list: Request[] = [];
  #head = 0;
  #length = 0;

  /** Requests that wait. */
  get length(): number {
    return this.#length;
  }

  push(request: Request): void {
    this.#list.push(request);
    this.#length++;
  }

  /** Puts a request before all others. */
  unshift(request: Request): void {
    if (this.#head > 0) this.#list[--this.#head] = request;
    else this.#list.unshift(request);
    this.#length++;
  }

  /** The request whose turn it is. */
  peek(): Request | undefined {
    while (this.#head < this.#list.length) {
      const request = this.#list[this.#head]!;
      if (!request.isEnded) return request;
      this.#head++;
    }
    this.#list = [];
    this.#head = 0;
    return undefined;
  }

  /** Takes out what {@link peek} returned. */
  shift(): void {
    this.#head++;
    this.#length--;
    this.#tidy();
  }

  /** A request that waits ended: its turn never comes. */
  forget(): void {
    this.#length--;
    this.#tidy();
  }

  /** Takes out all that wait. */
  clear(): readonly Request[] {
    const waiting = this.#list.slice(this.#head).filter(({ isEnded }) => !isEnded);
    this.#list = [];
    this.#head = this.#length = 0;
    return waiting;
  }

  #tidy(): void {
    if (this.#list.length <= 2 * this.#length + MOST_ENDED) return;
    this.#list = this.#list.slice(this.#head).filter(({ isEnded }) => !isEnded);
    this.#head = 0;
  }
}
