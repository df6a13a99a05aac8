/** Where others find a source: a mail, a commit, a page of an archive. */
export interface SourceReference {
  /** Who and when, or what: `Tsirkin, 2019-07-01`, `Linux 1a937693993f`. */
  readonly name: string;
  /** Address of the mail in an archive, or of the commit: https. */
  readonly link: string;
  /** Of a mail: its Message-ID without the angle brackets. */
  readonly messageId?: string | undefined;
  /** Of a commit: its hash. */
  readonly commit?: string | undefined;
}

/** A mail in the archive that finds every mail by its Message-ID. */
function mail(name: string, messageId: string): SourceReference {
  return { name, link: `https://lore.kernel.org/r/${messageId}`, messageId };
}

/** A page of an archive of Linux’s own list, by its year, month, week and number there: `1908.1/02712`. */
function listPage(name: string, page: string): SourceReference {
  return { name, link: `https://lkml.iu.edu/hypermail/linux/kernel/${page}.html` };
}

/**
 * The mails and commits behind the rules and the decision table, each in one place: rules refer to an entry, rows of
 * the decision table name its key.
 */
export const REFERENCES: Readonly<Record<ReferenceName, SourceReference>> = {
  'bauermann-2019-04-17': mail('Bauermann, 2019-04-17', '87a7go71hz.fsf@morokweng.localdomain'),
  'bauermann-2019-06-03': mail('Bauermann, 2019-06-03', '877ea26tk8.fsf@morokweng.localdomain'),
  'tsirkin-2019-06-03': mail('Tsirkin, 2019-06-03', '20190603211528-mutt-send-email-mst@kernel.org'),
  'bauermann-2019-06-27': mail('Bauermann, 2019-06-27', '877e96qxm7.fsf@morokweng.localdomain'),
  'tsirkin-2019-07-01': mail('Tsirkin, 2019-07-01', '20190701092212-mutt-send-email-mst@kernel.org'),
  'bauermann-2019-07-14': mail('Bauermann, 2019-07-14', '87d0id9nah.fsf@morokweng.localdomain'),
  'tsirkin-2019-08-10': mail('Tsirkin, 2019-08-10', '20190810143038-mutt-send-email-mst@kernel.org'),
  'gibson-2019-08': listPage('Gibson, 2019-08', '1908.1/03880'),
  'tsirkin-2019-09-06': mail('Tsirkin, 2019-09-06', '20190906001220-mutt-send-email-mst@kernel.org'),
  'pai-2019-10-11': mail('Pai, 2019-10-11', '1570843519-8696-1-git-send-email-linuxram@us.ibm.com'),
  'pasic-2020-02-20': mail('Pasic, 2020-02-20', '20200220160606.53156-1-pasic@linux.ibm.com'),
  'lendacky-2020-02-21': mail('Lendacky, 2020-02-21', 'bf0c87a2-adc6-a05a-835f-f98e7cd0cd3b@amd.com'),
  'gibson-2020-03-05': mail('Gibson, 2020-03-05', '20200305043009.611636-3-david@gibson.dropbear.id.au'),
  'morel-2020-09-10': mail('Morel, 2020-09-10', '1599728030-17085-1-git-send-email-pmorel@linux.ibm.com'),
  'kleen-2021-06-02': mail('Kleen, 2021-06-02', '20210603004133.4079390-2-ak@linux.intel.com'),
  'pasic-2022-02-09': mail('Pasic, 2022-02-09', '20220209124534.1206993-1-pasic@linux.ibm.com'),
  'fraser-2022-07-19': mail('Fraser, 2022-07-19', '20220719100256.419780-1-keirf@google.com'),
  'kvm-2022-08': { name: 'kvm, 2022-08', link: 'https://mail.spinics.net/lists/kvm/msg285606.html' },
  'linux-pci-2024': { name: 'linux-pci, 2024', link: 'https://mail.spinics.net/lists/linux-pci/msg153426.html' },
  'woodhouse-2025-04': listPage('Woodhouse, 2025-04', '2504.0/03415'),
  'tdisp-2025-11': listPage('linux-kernel, 2025-11', '2511.0/04728'),
  'linux-1a937693993f': {
    name: 'Linux 1a937693993f',
    link: 'https://git.kernel.org/linus/1a937693993ff10d7e80cca6ddd55f3000aa6376',
    commit: '1a937693993ff10d7e80cca6ddd55f3000aa6376',
  },
};

/** A key of {@link REFERENCES}. */
export type ReferenceName =
  | 'bauermann-2019-04-17'
  | 'bauermann-2019-06-03'
  | 'tsirkin-2019-06-03'
  | 'bauermann-2019-06-27'
  | 'tsirkin-2019-07-01'
  | 'bauermann-2019-07-14'
  | 'tsirkin-2019-08-10'
  | 'gibson-2019-08'
  | 'tsirkin-2019-09-06'
  | 'pai-2019-10-11'
  | 'pasic-2020-02-20'
  | 'lendacky-2020-02-21'
  | 'gibson-2020-03-05'
  | 'morel-2020-09-10'
  | 'kleen-2021-06-02'
  | 'pasic-2022-02-09'
  | 'fraser-2022-07-19'
  | 'kvm-2022-08'
  | 'linux-pci-2024'
  | 'woodhouse-2025-04'
  | 'tdisp-2025-11'
  | 'linux-1a937693993f';
