import type { InjectionToken } from 'tsyringe';
import { z } from 'zod';

/** In an argument of `command`: the path of the socket to listen on. */
export const SOCKET_PLACEHOLDER = '{socket}';
/** In an argument of `command`: the path of the raw image to serve. */
export const IMAGE_PLACEHOLDER = '{image}';

/** Exactly one of `socket` and `command` is given. Times are milliseconds. */
export interface VhostUserOptions {
  readonly socket?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly startTimeout: number;
  readonly replyTimeout: number;
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
        'Program and arguments of the back-end to start. {socket} stands for the socket it has to listen on, {image} for the path of device.image, or of an empty image of device.capacity without one.',
      ),
    startTimeout: z
      .int()
      .min(1)
      .max(600_000)
      .default(10_000)
      .describe('Milliseconds until the back-end has to accept a connection.'),
    replyTimeout: z
      .int()
      .min(1)
      .max(600_000)
      .default(5_000)
      .describe('Milliseconds the back-end may take to answer a message.'),
  })
  .superRefine((options, context) => {
    if ((options.socket === undefined) === (options.command === undefined)) {
      context.addIssue({ code: 'custom', message: 'give exactly one of socket and command' });
    } else if (options.command?.some((argument) => argument.includes(SOCKET_PLACEHOLDER)) === false) {
      context.addIssue({ code: 'custom', path: ['command'], message: `no argument has ${SOCKET_PLACEHOLDER}` });
    }
  });

export const VHOST_USER_OPTIONS: InjectionToken<VhostUserOptions> = Symbol.for(
  '@virtio-platform/machine-vhost-user:Options',
);
