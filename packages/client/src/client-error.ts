import { CodedError, describeValue, DeviceError } from '@virtio-platform/core';

/**
 * A device that a program cannot use, or cannot use any more: `ERR_CLIENT_*`. The `cause` of `ERR_CLIENT_CLOSED` is
 * what closed the client, where that was an error.
 */
export class ClientError extends CodedError {}

/** What a request was, for its error. */
export interface RequestFacts {
  /** `read`, `write`, `flush`, `discard`, `writeZeroes` and so on. */
  readonly operation: string;
  /** Bytes from the start of the device; `undefined` for a request without a place. */
  readonly offset?: number | undefined;
  /** Bytes; `undefined` for a request without a range. */
  readonly length?: number | undefined;
  /** The status that the device gave, as the specification of the device type numbers it. */
  readonly status: number;
  /** Its name: `IOERR`. */
  readonly statusName: string;
}

/** The device answered a request with an error: `ERR_DEVICE_REQUEST`. It goes on with other requests. */
export class RequestError extends DeviceError implements RequestFacts {
  readonly operation: string;
  readonly offset: number | undefined;
  readonly length: number | undefined;
  readonly status: number;
  readonly statusName: string;

  constructor({ operation, offset, length, status, statusName }: RequestFacts, hint: string) {
    const range = length === undefined ? '' : ` of ${length} bytes`;
    const place = offset === undefined ? '' : ` at ${offset}`;
    super('ERR_DEVICE_REQUEST', `the device answers ${statusName} (${status}) to ${operation}${range}${place}`, {
      hint,
    });
    this.operation = operation;
    this.offset = offset;
    this.length = length;
    this.status = status;
    this.statusName = statusName;
  }
}

/** The error of a function that opens devices of type `wanted`, for a profile that has one of type `type`. */
export function otherDevice(profile: string, type: string, wanted: string): ClientError {
  return new ClientError('ERR_CLIENT_DEVICE', `${profile} has a device of type ${type}, not ${wanted}`, {
    hint: `set device.type: ${wanted}, or open it with the function for ${type}`,
  });
}

/** The error of a request to a client that is closed, by `cause` where an error closed it. */
export function closedError(name: string, cause?: unknown): ClientError {
  const why = cause === undefined ? '' : `: ${cause instanceof Error ? cause.message : describeValue(cause)}`;
  return new ClientError('ERR_CLIENT_CLOSED', `the ${name} client is closed${why}`, {
    hint: cause === undefined ? 'open it again' : 'see the cause; a device that failed has to be opened again',
    cause,
  });
}
