import type { DmaRegion } from '@virtio-platform/core/dma';

/** What the transports use: one vector for changes of the configuration, one for all queues. */
export const CONFIG_VECTOR = 0;
export const QUEUE_VECTOR = 1;
export const VECTORS = 2;

/**
 * How the interrupts of a PCI function reach its driver. Messages (MSI-X) are DMA writes of the device: where nothing in the
 * machine receives them, the driver gives them memory of its own and looks there.
 */
export interface PciInterrupts {
  /** Most vectors that can be enabled; 0 where there are no messages, and the driver asks the ISR register instead. */
  readonly vectors: number;
  /** Bytes that messages are received in, from the driver's memory; 0 where the machine receives them itself. */
  readonly messageBytes: number;
  /** Where messages are received, of {@link messageBytes}. Before {@link enable}. */
  receiveIn(region: DmaRegion): void;
  /** Lets the function send messages of the vectors 0 to `count` - 1. */
  enable(count: number): void;
  /** Waits until a message came, and takes it: true; or until the time is up. 0 only looks. */
  wait(timeoutMs: number): boolean;
  /** No message comes any more, and the memory for them is its owner's again. */
  disable(): void;
}

/** A function whose messages nobody receives: its ISR register tells. */
export const NO_MESSAGES: PciInterrupts = {
  vectors: 0,
  messageBytes: 0,
  receiveIn: () => {},
  enable: () => {},
  wait: () => false,
  disable: () => {},
};
