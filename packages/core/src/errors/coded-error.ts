import { ERROR_CODES, type ErrorCode } from './error-code.ts';

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

/**
 * Tells a {@link CodedError} of any installed copy by its shape: an error with texts and a code of {@link ERROR_CODES},
 * or one that starts with `ERR_X_`. Never throws, also for an error whose members do.
 */
export function isCodedError(value: unknown): value is CodedError {
  try {
    if (!(value instanceof Error) || !('code' in value) || !('hint' in value)) return false;
    const { code, hint, message } = value;
    return isErrorCode(code) && typeof message === 'string' && (hint === undefined || typeof hint === 'string');
  } catch {
    return false;
  }
}

const CODES: ReadonlySet<unknown> = new Set(ERROR_CODES);

function isErrorCode(code: unknown): code is ErrorCode {
  return CODES.has(code) || (typeof code === 'string' && /^ERR_X_[A-Z0-9_]+$/.test(code));
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

/** The plugin of a run that a {@link ContractError} is about. */
export type ContractParty = 'platform' | 'machine' | 'device';

/**
 * A plugin gave something that its contract does not allow, found where the value enters: `ERR_PLUGIN_CONTRACT`. It
 * knows the plugin by its part in the run only; the profile package adds the name and the place in the profile.
 */
export class ContractError extends CodedError {
  readonly party: ContractParty;
  /** The member of the contract that gave it: `map`, `translate`. */
  readonly hook: string;
  /** What is wrong, behind the name of the member: `returned NaN`. */
  readonly what: string;

  /** `what` completes the sentence "its `map` ...". */
  constructor(party: ContractParty, hook: string, what: string, cause?: unknown) {
    super('ERR_PLUGIN_CONTRACT', `\`${hook}\` of the ${party} ${what}`, {
      hint: 'this is a mistake in the plugin: the contract of the member says what it may give',
      cause,
    });
    this.party = party;
    this.hook = hook;
    this.what = what;
  }
}
