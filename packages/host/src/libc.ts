import { createRequire } from 'node:module';
import { getSystemErrorName, promisify } from 'node:util';
import { CodedError, errnoHint } from '@virtio-platform/core';

/**
 * A failed system call: `ERR_SYSCALL`, with the call and the name of its errno. Or an operating system that this
 * package does not support: `ERR_HOST_UNSUPPORTED`, without both.
 */
export class HostError extends CodedError {
  /** The name of the system call: `connect`. */
  readonly syscall: string | undefined;
  /** The name from errno.h: `ECONNREFUSED`. */
  readonly errno: string | undefined;

  constructor(
    code: 'ERR_SYSCALL' | 'ERR_HOST_UNSUPPORTED',
    message: string,
    options: {
      syscall?: string | undefined;
      errno?: string | undefined;
      hint?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(code, message, options);
    this.syscall = options.syscall;
    this.errno = options.errno;
  }
}

/**
 * The functions of the C library, under their C names. Addresses are bigints. Each returns what the C function returns.
 */
export interface Libc {
  open(path: string, flags: number): number;
  /** The argument is an address or a plain number, as a bigint. */
  ioctl(descriptor: number, request: number, argument: bigint): number;
  /** Fills a struct rlimit: two 64-bit words. */
  getrlimit(resource: number, limits: bigint): number;
  memfd_create(name: string, flags: number): number;
  ftruncate(descriptor: number, length: number): number;
  /** Only for commands whose argument is a number. */
  fcntl(descriptor: number, command: number, argument: number): number;
  fallocate(descriptor: number, mode: number, offset: number, length: number): number;
  /** Writes from the memory of the array itself, without a copy; `pread` reads into it. */
  pwrite(descriptor: number, source: Uint8Array, length: number, offset: number): number;
  pread(descriptor: number, target: Uint8Array, length: number, offset: number): number;
  mmap(
    address: bigint,
    length: number,
    protection: number,
    flags: number,
    descriptor: number,
    offset: number,
  ): bigint | null;
  mprotect(address: bigint, length: number, protection: number): number;
  mremap(address: bigint, size: number, newSize: number, flags: number, newAddress: bigint): bigint | null;
  munmap(address: bigint, length: number): number;
  eventfd(initial: number, flags: number): number;
  read(descriptor: number, target: bigint, length: number): number;
  write(descriptor: number, source: bigint, length: number): number;
  /** `vectors` is the address of `count` structs iovec. */
  preadv2(descriptor: number, vectors: bigint, count: number, offset: number, flags: number): number;
  poll(descriptors: bigint, count: number, timeoutMs: number): number;
  /** As `poll`, in a thread of the pool of Node; there is no errno of it. */
  pollInThread(descriptors: bigint, count: number, timeoutMs: number): Promise<number>;
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, descriptors: bigint): number;
  connect(descriptor: number, address: bigint, length: number): number;
  bind(descriptor: number, address: bigint, length: number): number;
  listen(descriptor: number, backlog: number): number;
  /** `address` and `length` are 0n where nothing is to be told of the peer. */
  accept4(descriptor: number, address: bigint, length: bigint, flags: number): number;
  getsockname(descriptor: number, address: bigint, length: bigint): number;
  pipe2(descriptors: bigint, flags: number): number;
  /** Makes `target` another number of the file of `descriptor`, and closes what it was. */
  dup3(descriptor: number, target: number, flags: number): number;
  sendmsg(descriptor: number, message: bigint, flags: number): number;
  recvmsg(descriptor: number, message: bigint, flags: number): number;
  recv(descriptor: number, buffer: bigint, length: number, flags: number): number;
  close(descriptor: number): number;

  /** Errno of the last call. Read it directly after the call: the JavaScript engine makes system calls too. */
  errno(): number;
  /** Allocates `length` bytes of the C heap. */
  allocate(length: number): bigint;
  free(address: bigint): void;
  /** The bytes at an address. An access after the memory was freed or unmapped crashes the process. */
  view(address: bigint, length: number): ArrayBuffer;
}

const PROTOTYPES = [
  'int open(const char *path, int flags)',
  'int ioctl(int fd, unsigned long request, void *argument)',
  'int getrlimit(int resource, void *limits)',
  'int memfd_create(const char *name, unsigned int flags)',
  'int ftruncate(int fd, int64_t length)',
  'int fcntl(int fd, int command, int argument)',
  'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
  'intptr_t pwrite(int fd, const void *source, size_t length, int64_t offset)',
  'intptr_t pread(int fd, void *target, size_t length, int64_t offset)',
  'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
  'int mprotect(void *address, size_t length, int protection)',
  'void *mremap(void *address, size_t size, size_t newSize, int flags, void *newAddress)',
  'int munmap(void *address, size_t length)',
  'int eventfd(unsigned int initial, int flags)',
  'intptr_t read(int fd, void *target, size_t length)',
  'intptr_t write(int fd, const void *source, size_t length)',
  'intptr_t preadv2(int fd, const void *vectors, int count, int64_t offset, int flags)',
  'int poll(void *fds, unsigned long count, int timeout)',
  'int socket(int domain, int type, int protocol)',
  'int socketpair(int domain, int type, int protocol, void *fds)',
  'int connect(int fd, void *address, unsigned int length)',
  'int bind(int fd, void *address, unsigned int length)',
  'int listen(int fd, int backlog)',
  'int accept4(int fd, void *address, void *length, int flags)',
  'int getsockname(int fd, void *address, void *length)',
  'int pipe2(void *fds, int flags)',
  'int dup3(int fd, int target, int flags)',
  'intptr_t sendmsg(int fd, void *message, int flags)',
  'intptr_t recvmsg(int fd, void *message, int flags)',
  'intptr_t recv(int fd, void *buffer, size_t length, int flags)',
  'int close(int fd)',
];

let loaded: Libc | undefined;

/**
 * The C library that this process runs on. It is bound at the first call, so importing this package loads nothing and
 * works everywhere. The structure layouts in this package are those of 64-bit little-endian Linux. Throws
 * {@link HostError} `ERR_HOST_UNSUPPORTED` on another operating system.
 */
export function libc(): Libc {
  return (loaded ??= bind());
}

/** The reason why this package cannot be used on this computer; `undefined` where it can. */
export function hostProblem(): HostError | undefined {
  try {
    libc();
    return undefined;
  } catch (error) {
    if (error instanceof HostError) return error;
    throw error;
  }
}

function bind(): Libc {
  const { platform, arch } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw new HostError(
      'ERR_HOST_UNSUPPORTED',
      `memory and sockets cannot be shared from here: ${platform} on ${arch}`,
      {
        hint: 'use 64-bit Linux on x86 or ARM, or a machine that needs no host such as the simulated one',
      },
    );
  }
  try {
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
    const library = koffi.load(null);
    const functions: Record<string, unknown> = {
      errno: () => koffi.errno(),
      allocate: (length: number) => koffi.alloc('uint8_t', length),
      free: (address: bigint) => koffi.free(address),
      view: (address: bigint, length: number) => koffi.view(address, length),
    };
    for (const prototype of PROTOTYPES) {
      const bound = library.func(prototype);
      functions[bound.info.name] = bound;
      if (bound.info.name === 'poll') functions['pollInThread'] = promisify(bound.async);
    }
    // The only untyped border: PROTOTYPES declares for C what Libc declares for the compiler.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return functions as unknown as Libc;
  } catch (cause) {
    throw new HostError('ERR_HOST_UNSUPPORTED', 'the C library cannot be called from this process', {
      hint: 'the dependency koffi needs its native part for this platform: reinstall the packages here',
      cause,
    });
  }
}

/** The name of the errno of the last call: `EAGAIN`. Call it directly after the failed call. */
export function lastErrno(): string {
  const errno = libc().errno();
  return errno > 0 ? getSystemErrorName(-errno) : 'no errno';
}

/** The error of a call that failed just now. `doing` completes "cannot ...". */
export function systemCallError(syscall: string, doing: string, errno: string = lastErrno()): HostError {
  return new HostError('ERR_SYSCALL', `cannot ${doing}: ${syscall}: ${errno}`, {
    syscall,
    errno,
    hint: errnoHint(errno),
  });
}

/** Returns the result of a call. Throws {@link HostError} where it is negative, which means that the call failed. */
export function checked(result: number, syscall: string, doing: string): number {
  if (result < 0) throw systemCallError(syscall, doing);
  return result;
}

/** Closes a descriptor. Never throws: Linux releases it even where close(2) reports an error. */
export function closeDescriptor(descriptor: number): void {
  libc().close(descriptor);
}

/** Zeroed bytes outside the JavaScript heap, with an address for the C library: a message header, a structure. */
export class NativeBuffer {
  /** Bytes. */
  readonly size: number;
  readonly #address: bigint;
  #bytes: DataView | undefined;

  constructor(size: number) {
    this.size = size;
    this.#address = libc().allocate(size);
    this.#bytes = new DataView(libc().view(this.#address, size));
    new Uint8Array(this.#bytes.buffer).fill(0);
  }

  /** The bytes. Throws `TypeError` after `dispose`, as `address` does, because the memory was freed. */
  get bytes(): DataView {
    if (this.#bytes === undefined) throw new TypeError('this native buffer was disposed of');
    return this.#bytes;
  }

  get address(): bigint {
    if (this.#bytes === undefined) throw new TypeError('this native buffer was disposed of');
    return this.#address;
  }

  dispose(): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    libc().free(this.#address);
  }
}
