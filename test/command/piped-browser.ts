import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { BROWSER } from './browser.ts';

type Parameters = Readonly<Record<string, unknown>>;
type Answer = Record<string, unknown>;

/** How long the browser may take for one step. */
const STEP_MS = 30_000;

/** A browser without a screen that is asked over a pipe (Chrome DevTools Protocol), with one page. */
export class PipedBrowser implements AsyncDisposable {
  /** What the page reported: errors, refusals of its policy, and what it printed. */
  readonly complaints: string[] = [];
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #pending = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  readonly #waiting = new Map<string, () => void>();
  #next = 1;
  #session = '';
  #rest = '';

  private constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), 'virtio-platform-browser-'));
    const options = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--remote-debugging-pipe',
    ];
    this.#process = spawn(BROWSER!, [...options, `--user-data-dir=${this.#profile}`], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    (this.#process.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.#process.once('exit', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the browser ended'));
    });
  }

  /** Starts a browser with an empty page. */
  static async start(): Promise<PipedBrowser> {
    const browser = new PipedBrowser();
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = String(sessionId);
    for (const domain of ['Page', 'Runtime', 'Log']) await browser.send(`${domain}.enable`);
    return browser;
  }

  /** Opens a file in a window of this width, and waits until it is loaded. */
  async open(file: string, width: number, isDark = false): Promise<void> {
    await this.resize(width);
    const features = [{ name: 'prefers-color-scheme', value: isDark ? 'dark' : 'light' }];
    await this.send('Emulation.setEmulatedMedia', { features });
    const loaded = new Promise<void>((resolve) => this.#waiting.set('Page.loadEventFired', resolve));
    await this.send('Page.navigate', { url: pathToFileURL(file).href });
    await loaded;
  }

  async resize(width: number, height = 1000): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  }

  /** The value of an expression in the page, once its frames are drawn. */
  async evaluate<T>(expression: string): Promise<T> {
    const drawn = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))';
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression: `${drawn}.then(() => (${expression}))`,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  /** Presses a key, for what has the focus. */
  async press(key: string, modifiers = 0): Promise<void> {
    const text = key.length === 1 ? key : undefined;
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', key, modifiers, text });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key, modifiers });
  }

  async send(method: string, parameters: Parameters = {}): Promise<Answer> {
    const id = this.#next++;
    const session = this.#session === '' ? {} : { sessionId: this.#session };
    const message = JSON.stringify({ id, method, params: parameters, ...session });
    const answer = new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method} took too long`)), STEP_MS);
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      this.#pending.set(id, { resolve: settled(resolve), reject: settled(reject) });
    });
    (this.#process.stdio[3] as Writable).write(`${message}\0`);
    return await answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#session = '';
    this.send('Browser.close').catch(() => this.#process.kill('SIGKILL'));
    await ended;
    // Its other processes end a little later, and write until then.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  #take(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop()!;
    for (const message of messages) this.#handle(JSON.parse(message) as Answer);
  }

  #handle({ id, method, params, result, error }: Answer): void {
    if (typeof id === 'number') {
      const { resolve, reject } = this.#pending.get(id)!;
      this.#pending.delete(id);
      if (error === undefined) resolve(result as Answer);
      else reject(new Error(JSON.stringify(error)));
      return;
    }
    const name = String(method);
    if (['Runtime.exceptionThrown', 'Runtime.consoleAPICalled', 'Log.entryAdded'].includes(name))
      this.complaints.push(JSON.stringify(params));
    this.#waiting.get(name)?.();
    this.#waiting.delete(name);
  }
}
