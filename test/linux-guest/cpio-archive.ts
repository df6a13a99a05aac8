const DIRECTORY = 0o040755;
const EXECUTABLE = 0o100755;
const TRAILER = 'TRAILER!!!';

/**
 * An archive as the kernel unpacks it at boot: cpio "newc" (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst).
 */
export class CpioArchive {
  readonly #parts: Buffer[] = [];
  readonly #folders = new Set<string>();
  #inode = 1;

  /** Adds a file that can be executed, and the folders it is in. Paths have no leading slash. */
  addFile(path: string, content: Uint8Array | string): void {
    this.addFolder(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    this.#addEntry(path, EXECUTABLE, Buffer.from(content));
  }

  addFolder(path: string): void {
    if (path === '' || this.#folders.has(path)) return;
    this.addFolder(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    this.#folders.add(path);
    this.#addEntry(path, DIRECTORY, Buffer.alloc(0));
  }

  /** The archive. Nothing may be added afterwards. */
  finish(): Buffer {
    this.#addEntry(TRAILER, 0, Buffer.alloc(0));
    return Buffer.concat(this.#parts);
  }

  #addEntry(path: string, mode: number, content: Buffer): void {
    const name = Buffer.from(`${path}\0`);
    // Inode, mode, owner, group, links, time, size, device (two words), device of a special file (two), length of the
    // name, checksum.
    const fields = [this.#inode++, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    this.#parts.push(padded(Buffer.concat([Buffer.from(header), name])), padded(content));
  }
}

/** Header with name, and content, are each a multiple of four bytes. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
