import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { displayPath } from '@virtio-platform/profile';
import type { RunReport } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BROWSER } from './browser.ts';
import { commandHere, commandProcess, reportsOf, ROOT } from './command.ts';
import { PipedBrowser } from './piped-browser.ts';

/** Markup, quotes, the end of a script, writing direction, ESC. */
const HOSTILE = `a</script><img src=x onerror=alert(1)> "b" 'c' & \u202Ed\u001B[31m`;

const PROFILES: Readonly<Record<string, string>> = {
  faulty: `extends: ${ROOT}/profiles/pseries-dynamic.yaml
matrix: []
workload: { requests: 200, depth: 8 }
failures: { wrongAddress: { nth: [302] } }`,
  refused: `extends: ${ROOT}/profiles/refused/vfio-without-access-platform.yaml
expect: { outcome: completed }`,
  zeros: `extends: ${ROOT}/profiles/pseries-dynamic.yaml
matrix: []
machine: { onFault: zeros }
workload: { requests: 60, depth: 8 }
failures: { wrongAddress: { nth: [2] } }`,
  interrupt: `extends: ${ROOT}/profiles/amd-iommu.yaml
matrix: []
machine: { onFault: needs-reset, rogue: [{ after: 50, access: write, address: 0xfee00010, length: 4 }] }
workload: { requests: 60, depth: 8 }`,
  packed: `extends: ${ROOT}/profiles/ring-features.yaml
matrix: []
workload: { requests: 200 }`,
  bounced: `extends: ${ROOT}/profiles/sev-bounce.yaml
matrix: []
workload: { requests: 200 }`,
  hostile: `extends: ${ROOT}/profiles/pseries-linear.yaml
matrix: []
profile: ${JSON.stringify(HOSTILE)}
summary: ${JSON.stringify(HOSTILE)}
workload: { requests: 20, depth: 4 }`,
};

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
const page = join(folder, 'page.html');
let reports: RunReport[];
let text: string;
beforeAll(async () => {
  const files = Object.entries(PROFILES).map(([name, profile]) => {
    const path = join(folder, `${name}.yaml`);
    writeFileSync(path, name === 'hostile' ? profile : `${profile}\nprofile: ${name}\n`);
    return path;
  });
  const result = await commandHere(['run', ...files, '--report', page, '--json']);
  expect(result.status).toBe(1);
  reports = reportsOf(result);
  text = readFileSync(page, 'utf8');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the page shows of each run: its facts by name, in the order of the runs. */
const FACTS = `[...document.querySelectorAll('details.run')].map((run) => Object.fromEntries(
  [...run.querySelectorAll('[data-fact]')].map((fact) => [fact.dataset.fact, fact.firstChild.textContent.trim()])))`;

/** What the page has of one run. */
function sectionOf(name: string): string {
  const runs = text.replaceAll(/\s+/g, ' ').split('<details class="run ');
  return runs.find((run) => run.includes(`</span> ${name}</h3>`)) ?? '';
}

describe('the page of `run --report`', () => {
  it('loads nothing from anywhere, and runs nothing but its own script', () => {
    expect(text).toMatch(/default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'"/);
    expect(text).not.toMatch(/\s(?:src|style|on\w+)="|https?:|@import|url\(/);
    expect(text.length).toBeLessThan(5_000_000);
  });

  it('shows hostile names as text', () => {
    // oxlint-disable-next-line no-control-regex
    expect(text).not.toMatch(/<img|\u202E|\u001B/);
    expect(text).toContain(String.raw`a&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;`);
    expect(text).toContain(String.raw`\u202ed\x1b[31m`);
    expect(text.split('</script>')).toHaveLength(1 + 2 + reports.length);
  });

  it('has failures first, with the place and the command that makes the run again', () => {
    expect(text.indexOf('What went wrong')).toBeLessThan(text.indexOf('id="runs"'));
    const wrong = text.slice(text.indexOf('id="failures"'), text.indexOf('<section id="runs"'));
    expect(wrong).toContain('fault: write of 4096 bytes at 0x');
    expect(wrong).toContain('ERR_DEVICE_NEEDS_RESET');
    expect(wrong).toContain('refused by the rule unprivileged-needs-isolation');
    expect(wrong).toContain('device: offer ACCESS_PLATFORM');
    expect(wrong).toContain(`<span>${displayPath(join(folder, 'faulty.yaml'), ROOT)}</span>`);
  });

  it('shows windows, pools and private pages, and where a refused access leads', () => {
    expect(sectionOf('faulty')).toContain('32-bit DMA window: 0x0 to 0x3fffffff, 1 GiB');
    expect(sectionOf('faulty')).toMatch(/aria-label="refused write of 4,096 bytes at device 0x/);
    // A device that reads zeros is not told of its fault; the timeline tells.
    expect(sectionOf('zeros')).toMatch(/"read of 4096 bytes at 0x[0-9a-f]+: outside-window"/);
    expect(sectionOf('interrupt')).toContain(
      'refused: write of 4 bytes at 0xfee00010, outside-window: it is in the interrupt range of a PC, which is no memory',
    );
    expect(sectionOf('bounced')).toContain('bounce pool: device 0x');
    expect(sectionOf('bounced')).toContain('private pages');
    expect(sectionOf('packed')).toContain('I/O virtual addresses: 0x');
  });

  it('marks the slot that is wrong', () => {
    const { rings } = reports[0]!.failure!;
    const [oldest] = rings[0]!.outstanding;
    expect(text).toContain(`buffer ${oldest!.id}, the oldest that the device has not given back`);
    expect(text).toContain('class="broken"');
  });
});

describe.skipIf(BROWSER === undefined && process.env['CI'] === undefined)('the page in a browser', () => {
  it('fits, complains of nothing and shows the numbers of the reports at each width', async () => {
    await using browser = await PipedBrowser.start();
    for (const width of [400, 900, 1600]) {
      await browser.open(page, width, width === 900);
      await browser.evaluate(`document.querySelectorAll('details').forEach((details) => details.open = true)`);
      expect(await browser.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      // The table of runs may scroll on a telephone, and not where there is room for it.
      const hidden =
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.index').parentElement)";
      if (width >= 900) expect(await browser.evaluate<number>(hidden)).toBe(0);
      const shown = await browser.evaluate<Record<string, string>[]>(FACTS);
      expect(shown.map(({ requests, errors, faults, mappings }) => ({ requests, errors, faults, mappings }))).toEqual(
        reports.map(({ workload, faults, dma }) => ({
          requests: String(workload.requests),
          errors: String(workload.errors),
          faults: String(faults.length),
          mappings: dma.maps.toLocaleString('en-US'),
        })),
      );
      const drawn = await browser.evaluate<number[]>(
        `[...document.querySelectorAll('canvas')].map((canvas) => {
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size; })`,
      );
      expect(drawn.every((colors) => colors > 5)).toBe(true);
    }
    expect(await browser.evaluate(`document.querySelector('.failure code').textContent`)).toBe(
      `virtio-platform run ${displayPath(join(folder, 'faulty.yaml'), ROOT)} --seed ${reports[0]!.seed}`,
    );
    await checkKeyboard(browser);
    await checkPaper(browser);
    expect(browser.complaints).toEqual([]);
  });
});

/** The timeline of the first run by keyboard: from event to event, zoom, and back. */
async function checkKeyboard(browser: PipedBrowser): Promise<void> {
  const inView = `document.querySelector('.events caption').textContent.replace(/^.*? of /, '')`;
  await browser.evaluate(`document.querySelector('canvas').focus()`);
  const all = await browser.evaluate<string>(inView);
  await browser.press('ArrowRight', 8);
  expect(await browser.evaluate(`document.querySelector('.readout').textContent`)).toMatch(
    /^0\.0 µs: plugin, check of /,
  );
  await browser.press('+');
  await browser.press('+');
  expect(await browser.evaluate(inView)).not.toBe(all);
  await browser.press('Home');
  expect(await browser.evaluate(inView)).toBe(all);
  const around = await browser.evaluate<string>(`document.querySelector('.around tr.trouble').textContent`);
  expect(around).toContain('write of 4096 bytes at 0x');
  // The ring follows: nothing is with the device at the fault's first moment but what was added and not taken.
  await browser.evaluate(`document.querySelector('[data-do=trouble]').click()`);
  expect(await browser.evaluate(`document.querySelector('.wheel .away').textContent`)).toBe('8 buffers');
}

/** What is printed: everything open, no controls. */
async function checkPaper(browser: PipedBrowser): Promise<void> {
  await browser.evaluate(`document.querySelectorAll('details').forEach((details) => details.open = false)`);
  await browser.evaluate(`addEventListener('beforeprint', () => setTimeout(() => {}, 0))`);
  await browser.send('Emulation.setEmulatedMedia', { media: 'print' });
  await browser.evaluate(`dispatchEvent(new Event('beforeprint'))`);
  const hidden = await browser.evaluate<number>(
    `[...document.querySelectorAll('details.run')].filter((details) => !details.open).length`,
  );
  expect(hidden).toBe(0);
  expect(await browser.evaluate(`document.querySelector('.controls').checkVisibility()`)).toBe(false);
  await browser.evaluate(`dispatchEvent(new Event('afterprint'))`);
}

describe('`run --report`', () => {
  it('exits 2 and runs nothing where the page cannot be there', async () => {
    const words = ['run', join(folder, 'bounced.yaml'), '--report', join(folder, 'none', 'page.html')];
    const { status, stdout, stderr } = await commandHere(words);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('ERR_REPORT_FILE');
    expect((await commandHere([...words.slice(0, 3), folder])).status).toBe(2);
  });

  it('writes no page where a profile is wrong', async () => {
    const wrong = join(folder, 'wrong.yaml');
    writeFileSync(wrong, 'profile: wrong\nplatfrom: {}\n');
    const other = join(folder, 'other.html');
    expect((await commandHere(['run', wrong, '--report', other])).status).toBe(2);
    expect(existsSync(other)).toBe(false);
  });

  it('keeps what has ended after Ctrl-C', async () => {
    const [endless, interrupted, begun] = ['endless.yaml', 'interrupted.html', 'begun'].map((name) =>
      join(folder, name),
    );
    // The platform of the second run says that this run has begun.
    const legacy = pathToFileURL(join(ROOT, 'packages/platform-legacy/dist/index.js')).href;
    const register = `(...given) => { writeFileSync(${JSON.stringify(begun)}, ''); return legacy.register(...given); }`;
    writeFileSync(
      join(folder, 'platform.mjs'),
      `import { writeFileSync } from 'node:fs';
import legacy from ${JSON.stringify(legacy)};
export default { ...legacy, register: ${register} };
`,
    );
    writeFileSync(
      endless!,
      `extends: ${ROOT}/profiles/pseries-plain.yaml
matrix: []
profile: endless
platform: { use: ./platform.mjs }
workload: { requests: 4000000 }
`,
    );
    const words = ['run', join(folder, 'hostile.yaml'), endless!, '--report', interrupted!];
    const { process: child, finished } = commandProcess(words);
    while (!existsSync(begun!) && child.exitCode === null) await setTimeout(20);
    child.kill('SIGINT');
    expect(await finished).toMatchObject({ status: 130 });
    const rest = readFileSync(interrupted!, 'utf8');
    expect(rest).toContain('(interrupted by SIGINT)');
    expect(rest).toContain('a&lt;/script&gt;');
  });
});
