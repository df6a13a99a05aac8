import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shippedPlatforms } from '@virtio-platform/cli';
import { loadProfiles } from '@virtio-platform/profile';
import { DEFAULT_OFFERS, negotiationMatrix, type MatrixRow } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { BROWSER, renderedPage } from './browser.ts';
import { commandHere, ROOT, virtioPlatform } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const LINEAR = join(ROOT, 'profiles/pseries-plain.yaml');
/** Names that are markup, and a formula. */
const HOSTILE = write(
  'offers.yaml',
  `'<img src=x onerror=alert(1)>': [VERSION_1, ACCESS_PLATFORM]
'a|b"c': { interface: legacy, features: [ANY_LAYOUT] }
'=1+1': []
`,
);

async function hostileMatrix(format: string): Promise<string> {
  return (await commandHere(['matrix', LINEAR, '--offers', HOSTILE, '--format', format])).stdout;
}

describe('virtio-platform matrix', () => {
  it('prints the shipped platforms against sixteen offers', async () => {
    const { status, stdout } = await virtioPlatform(['matrix']);
    expect(status).toBe(0);
    const lines = stdout.split('\n').filter((line) => line.trim() !== '');
    for (const name of [
      'no-iommu-identity',
      'intel-iommu',
      'pseries-linear',
      'pseries-secure',
      'sev-bounce',
      'vfio-pool',
    ])
      expect(lines[0]).toContain(name);
    expect(lines).toHaveLength(1 + 16 + 1);
    expect(stdout).toMatch(/^V1 AP NT +identity .*linear .*bounced .*EPERM +EPERM/m);
  });

  it('names the rule that decided each cell, with its source', async () => {
    const { stdout } = await commandHere(['matrix', '--rules', '--experimental']);
    const [, number] = /^\[(\d+)\] unprivileged-never-untranslated {2}mail: Bauermann, 2019-06-27/m.exec(stdout)!;
    expect(stdout).toMatch(new RegExp(`^V1 AP NT .*EPERM \\[${number}\\]`, 'm'));
    expect(stdout).toMatch(/^V1 NT +physical \+NT /m);
  });

  it('gives every cell as JSON and as a line of CSV', async () => {
    const rows = JSON.parse((await commandHere(['matrix', '--json'])).stdout) as MatrixRow[];
    const cells = rows.flatMap((row) => row.cells);
    expect(cells).toHaveLength(9 * 16);
    for (const { outcome, path, refusal, rule, source } of cells) {
      expect((outcome === 'refused') === (path === null)).toBe(true);
      expect((outcome === 'refused') === (refusal !== null)).toBe(true);
      expect(`${rule} ${source}`).toMatch(/\S \S/);
    }
    const csv = (await commandHere(['matrix', '--format', 'csv'])).stdout.trimEnd().split('\r\n');
    expect(csv).toHaveLength(1 + cells.length);
    expect(csv[0]).toContain('"profile","platform","privilege","offer","outcome"');
  });

  it('takes offers from a file, and escapes their names in every format', async () => {
    expect(await hostileMatrix('table')).toContain('<img src=x');
    expect(await hostileMatrix('markdown')).toContain('| a\\|b"c | physical |');
    const csv = await hostileMatrix('csv');
    expect(csv).toContain('"a|b""c"');
    expect(csv).toContain(`"'=1+1"`);
    const html = await hostileMatrix('html');
    expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;');
    expect(html).not.toContain('<img');
  });

  it('exits 2 for a file of offers that is wrong, with the place', async () => {
    const path = write('wrong.yaml', 'good: [VERSION_1]\nbad: [VERSION_1, ACESS_PLATFORM]\n');
    const { status, stderr } = await commandHere(['matrix', LINEAR, '--offers', path]);
    expect(status).toBe(2);
    expect(stderr).toContain('wrong.yaml:2:18: bad.1: must be a feature');
    expect(stderr).toContain('ACCESS_PLATFORM');
    expect((await commandHere(['matrix', '--format', 'pdf'])).status).toBe(2);
    expect((await commandHere(['matrix', 'nothing.yaml'])).status).toBe(2);
  });

  it('agrees with what a machine with such a device does', async () => {
    const profiles = (await loadProfiles(join(ROOT, 'profiles/argument/09-unprivileged-driver.yaml'))).slice(0, 1);
    const [row] = await negotiationMatrix(profiles, DEFAULT_OFFERS);
    const cell = row!.cells.find(({ offer }) => offer === 'V1 AP NT')!;
    const explained = JSON.parse(
      (await commandHere(['explain', '--json', join(ROOT, 'profiles/argument/09-unprivileged-driver.yaml')])).stdout,
    ) as { refusal: unknown }[];
    expect(cell.refusal).toEqual(explained[0]!.refusal);
  });
});

describe('the matrix of the shipped platforms', () => {
  it('takes less than two seconds', async () => {
    const profiles = (await Promise.all(shippedPlatforms().map((file) => loadProfiles(file)))).map(([first]) => first!);
    await negotiationMatrix(profiles, DEFAULT_OFFERS);
    const startedAt = performance.now();
    await negotiationMatrix(profiles, DEFAULT_OFFERS);
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});

describe('the page of the matrix', () => {
  it('loads nothing from anywhere', async () => {
    const { stdout } = await commandHere(['matrix', '--format', 'html']);
    expect(stdout).toContain("default-src 'none'");
    expect(stdout).not.toMatch(/(?:src|href)=|https?:|@import|url\(/);
  });

  it.skipIf(BROWSER === undefined)('filters in a browser (needs chromium: apt-get install chromium)', async () => {
    const { stdout } = await commandHere(['matrix', '--experimental', '--format', 'html']);
    const type = `<script>
        const input = document.getElementById('text');
        input.value = 'advertise'; input.dispatchEvent(new Event('input'));
        const select = document.getElementById('outcome');
        select.value = 'refused'; select.dispatchEvent(new Event('change'));
      </script>`;
    const rendered = await renderedPage(write('matrix.html', stdout.replace('</body>', `${type}</body>`)));
    const rows = [...rendered.matchAll(/<tr([^>]*)><th scope="row">([^<]*)</g)];
    expect(rows).toHaveLength(16);
    const shown = rows.filter(([, attributes]) => !attributes!.includes('hidden')).map(([, , name]) => name);
    expect(shown).toEqual(['V1 NT', 'V1 AP NT', 'V1 AP NT ID']);
    expect(rendered.match(/<td data-outcome="refused"(?: class="")?>/g)).toHaveLength(6);
    expect(rendered).toMatch(/<td data-outcome="accepted" class="dimmed">/);

    const untouched = await renderedPage(write('untouched.html', stdout));
    expect(untouched).not.toMatch(/<tr hidden/);
    expect(untouched).not.toContain('class="dimmed"');
  });

  it.skipIf(BROWSER === undefined)('runs nothing that an offer is named after (needs chromium)', async () => {
    const { stdout } = await commandHere(['matrix', LINEAR, '--offers', HOSTILE, '--format', 'html']);
    const rendered = await renderedPage(write('hostile.html', stdout));
    expect(rendered).toContain('<th scope="row">&lt;img src=x onerror=alert(1)&gt;</th>');
    expect(rendered).not.toContain('<img');
  });
});
