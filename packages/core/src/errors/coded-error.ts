import type { ErrorCode } from './error-code.ts';

/**
 * The base of every error a user can meet: a stable `code`, a message that says what, which and where, and a `hint`
 * that says what to do next. Match on `code` and not with `instanceof`, which is false for an error of another
 * installed copy of this package.
 */
export class CodedError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

/** Tells a {@link CodedError} of any installed copy by its shape. */
export function isCodedError(value: unknown): value is CodedError {
  return value instanceof Error && 'code' in value && typeof value.code === 'string' && 'hint' in value;
}

/** A plugin that cannot be used: `ERR_PLUGIN_*`. `plugin` is the name as the profile gives it. */
export class PluginError extends CodedError {
  readonly plugin: string;

  constructor(code: ErrorCode, plugin: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(code, `${plugin}: ${message}`, options);
    this.plugin = plugin;
  }
}

/** A DMA operation that failed outside the hot path: `ERR_DMA_*`. On the hot path failures are return values. */
export class DmaError extends CodedError {}

/** A device that cannot be brought up or stopped answering: `ERR_DEVICE_*`. */
export class DeviceError extends CodedError {}
