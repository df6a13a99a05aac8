import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** A browser that runs without a screen, or `undefined` where none is installed. */
export const BROWSER: string | undefined = (process.env['PATH'] ?? '')
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find((path) => existsSync(path));

/** Opens a page in the browser and gives the document as its scripts left it. */
export async function renderedPage(file: string): Promise<string> {
  const profile = mkdtempSync(join(tmpdir(), 'virtio-platform-browser-'));
  const options = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    `--user-data-dir=${profile}`,
  ];
  try {
    const { stdout } = await promisify(execFile)(BROWSER!, [...options, '--dump-dom', pathToFileURL(file).href], {
      timeout: 60_000,
      maxBuffer: 64 * 1024 ** 2,
    });
    return stdout;
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}
