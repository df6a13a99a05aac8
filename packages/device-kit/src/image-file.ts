import { spawnSync } from 'node:child_process';
import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, unlinkSync, type Stats } from 'node:fs';
import { DeviceError } from '@virtio-platform/core';

/** What a device wants of its image. */
export interface ImageOptions {
  /** Bytes. */
  readonly capacity: number;
  readonly readOnly: boolean;
  /** Whether a file of another size may be overwritten. */
  readonly overwrite: boolean;
}

/** Neither waits for the other end of a pipe, nor follows a link, nor takes a terminal. */
const SAFE = constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;
/** The exit status of flock(1) where another process has the lock. */
const IS_LOCKED = 1;
const LOCK_TIMEOUT_MS = 5000;

/**
 * Opens the raw image at `path`, locked against other devices, and returns its descriptor. Creates a file that is
 * missing, unless the device only reads. Throws {@link DeviceError} `ERR_DEVICE_IMAGE` for what is no regular file or
 * is a link, for an image in use, and for a file that is not `capacity` bytes long, which is left as it is, unless the
 * device only reads or may overwrite it; a shorter one then grows.
 */
export function openImage(path: string, options: ImageOptions): number {
  const status = statusOf(path);
  if (status !== undefined) checkKind(path, status);
  const isNew = status === undefined && !options.readOnly;
  const access = options.readOnly ? constants.O_RDONLY : constants.O_RDWR;
  const file = attempt(path, () =>
    openSync(path, access | SAFE | (isNew ? constants.O_CREAT | constants.O_EXCL : 0), 0o644),
  );
  try {
    const opened = attempt(path, () => fstatSync(file));
    checkKind(path, opened);
    lock(path, file, options.readOnly);
    if (!options.readOnly) fitSize(path, file, { ...options, overwrite: options.overwrite || isNew });
    return file;
  } catch (error) {
    closeSync(file);
    if (isNew) unlinkSync(path);
    throw error;
  }
}

/** Throws as {@link openImage} does, for an image that exists; creates nothing. */
export function checkImage(path: string, options: ImageOptions): void {
  if (statusOf(path) !== undefined) closeSync(openImage(path, options));
}

function statusOf(path: string): Stats | undefined {
  return attempt(path, () => lstatSync(path, { throwIfNoEntry: false }));
}

function checkKind(path: string, status: Stats): void {
  if (status.isFile()) return;
  const kind = status.isDirectory()
    ? 'a folder'
    : status.isSymbolicLink()
      ? 'a symbolic link'
      : status.isFIFO()
        ? 'a pipe'
        : status.isSocket()
          ? 'a socket'
          : 'a device file';
  throw imageError(path, `is ${kind}`, 'image has to be the path of a regular file');
}

/**
 * Locks the file as flock(2) does, until its descriptor is closed: Node has no such call, and a program that inherits
 * the descriptor locks it for this process too. Does nothing where flock(1) is not installed, or not possible on the
 * file system.
 */
function lock(path: string, file: number, isShared: boolean): void {
  const { status } = spawnSync('flock', ['-n', isShared ? '-s' : '-x', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file],
    timeout: LOCK_TIMEOUT_MS,
  });
  if (status !== IS_LOCKED) return;
  throw imageError(path, 'is in use', 'another run has it: wait for its end, or give this run an image of its own');
}

function fitSize(path: string, file: number, { capacity, overwrite }: ImageOptions): void {
  const { size } = attempt(path, () => fstatSync(file));
  if (size !== capacity && !overwrite) {
    const hint = `set capacity to ${size}B, or overwrite: true if its content may be lost`;
    throw imageError(path, `has ${size} bytes, and capacity is ${capacity}`, hint);
  }
  if (size < capacity) attempt(path, () => ftruncateSync(file, capacity));
}

function attempt<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const { code = 'no errno', syscall = 'a call' } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : {};
    throw imageError(path, `cannot be opened: ${syscall}: ${code}`, 'correct image, or its permissions', cause);
  }
}

function imageError(path: string, problem: string, hint: string, cause?: unknown): DeviceError {
  return new DeviceError('ERR_DEVICE_IMAGE', `the image ${path} ${problem}`, { hint, cause });
}
