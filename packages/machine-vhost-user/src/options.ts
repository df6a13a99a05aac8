import { z } from 'zod';

/** In an argument of `command`: the path of the socket to listen on. */
export const SOCKET_PLACEHOLDER = '{socket}';
/** In an argument of `command`: the path of the raw image to serve. */
export const IMAGE_PLACEHOLDER = '{image}';

/** How a back-end that offers ACCESS_PLATFORM learns of translations. */
export interface IotlbPolicy {
  /** When: at the back-end's request, or as soon as the driver maps a page. */
  readonly fill: 'on-miss' | 'at-map';
  readonly writeImpliesRead: boolean;
}

/** How a back-end that is gone is reached again. */
export interface ReconnectPolicy {
  /** How often it is tried each time. */
  readonly attempts: number;
  /** Milliseconds between two of them. */
  readonly interval: number;
}

/** Exactly one of `socket` and `command` is given. Times are milliseconds. */
export interface VhostUserOptions {
  readonly socket?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly startTimeout: number;
  readonly replyTimeout: number;
  readonly iotlb: IotlbPolicy;
  /** Whether the back-end logs the pages that it writes to. */
  readonly dirtyLog?: boolean | undefined;
  /** `undefined`: a back-end that is gone is lost. */
  readonly reconnect?: ReconnectPolicy | undefined;
}

/** The `machine` section of a profile that uses this plugin, without `memory`. */
export const vhostUserOptionsSchema: z.ZodType<VhostUserOptions> = z
  .strictObject({
    socket: z
      .string()
      .min(1)
      .optional()
      .describe('Path of the Unix socket of a back-end that already runs, relative to the profile.'),
    command: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe(
        'Program and arguments of the back-end to start. {socket} stands for the socket it has to listen on, ' +
          '{image} for the path of device.image, or of an empty image of device.capacity without one.',
      ),
    startTimeout: z
      .int()
      .min(1)
      .max(600_000)
      .default(10_000)
      .describe(
        'Milliseconds until the back-end has to have accepted a connection and answered the messages of the start; and ' +
          'again for those that set up and enable all queues.',
      ),
    replyTimeout: z
      .int()
      .min(1)
      .max(600_000)
      .default(5_000)
      .describe('Milliseconds the back-end may take to answer a message.'),
    iotlb: z
      .strictObject({
        fill: z
          .enum(['on-miss', 'at-map'])
          .default('on-miss')
          .describe(
            'Whether a back-end that translates is told of a page when it asks, or as soon as the page is ' +
              'mapped. DPDK drops a packet of a packed ring instead of waiting for the answer.',
          ),
        writeImpliesRead: z
          .boolean()
          .default(false)
          .describe(
            'Whether it may also read what is mapped for writing only, as behind an Intel IOMMU without ' +
              'zero-length reads. DPDK asks for both.',
          ),
      })
      .prefault({}),
    dirtyLog: z
      .boolean()
      .default(false)
      .describe(
        'Has the back-end log the pages of memory that it writes to, as for a live migration. The report counts them.',
      ),
    reconnect: z
      .strictObject({
        attempts: z
          .int()
          .min(1)
          .max(10_000)
          .default(100)
          .describe('How often a back-end that is gone is tried to be reached again, each time that it is gone.'),
        interval: z.int().min(1).max(60_000).default(100).describe('Milliseconds between two attempts.'),
      })
      .optional()
      .describe(
        'Goes on with a back-end that was restarted, or restarts the command. What was in flight is done again by a ' +
          'back-end that has INFLIGHT_SHMFD. Without this section, a back-end that is gone ends the run.',
      ),
  })
  .superRefine((options, context) => {
    if ((options.socket === undefined) === (options.command === undefined)) {
      context.addIssue({ code: 'custom', message: 'give exactly one of socket and command' });
    } else if (options.command?.some((argument) => argument.includes(SOCKET_PLACEHOLDER)) === false) {
      context.addIssue({ code: 'custom', path: ['command'], message: `no argument has ${SOCKET_PLACEHOLDER}` });
    }
  });
