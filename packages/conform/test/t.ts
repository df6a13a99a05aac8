import { isFailure, PCI_CASES, planCases } from '../src/index.ts';
import { bugOf } from './pci/pci-bugs.ts';
import { PciHarness } from './pci/pci-harness.ts';
const CASES = planCases(PCI_CASES).filter((c) => c.id.includes(process.argv[2] ?? ''));
const h = await PciHarness.open();
const fam = (id: string) => id.split('/').slice(0, 2).join('/');
let bad = 0;
const t0 = Date.now();
for (const [i, p] of CASES.entries()) {
  const r0 = await h.try(p);
  if (isFailure(r0)) console.log('UNBROKEN', p.id, r0.verdict, r0.seen);
  const bug = bugOf(p.id, () => h.hardware);
  if (!bug) {
    console.log('NOBUG', p.id);
    continue;
  }
  let r;
  try {
    r = await h.try(p, bug);
  } catch (e) {
    console.log('THROW', p.id, e);
    continue;
  }
  if (!isFailure(r)) {
    console.log('NOTFOUND', p.id, r.verdict, r.seen);
    bad++;
  } else if (process.argv[3]) console.log(p.id, '->', r.verdict, r.seen.slice(0, 90));
  const n = CASES[i + 1];
  if (n && fam(n.id) === fam(p.id)) {
    const s = await h.try(n, bug);
    if (isFailure(s)) console.log('TOGETHER', p.id, '&', n.id, s.seen.slice(0, 100));
  }
}
console.log(CASES.length, bad, Date.now() - t0);
await h.end();
