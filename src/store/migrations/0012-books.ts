import type { Step } from '../migrate.ts';

/** What the ledger looks up at each run: whose price may have lapsed, and who calls although AWS was to take it back. Every step can be run again. */
export const books: readonly Step[] = [
	{ name: 'ledger-host-freed', ddl: () => 'alter table ledger_host add column freed_at bigint' },
	{ name: 'ledger-host-freed-at', ddl: () => 'create index ledger_host_freed_at on ledger_host (freed_at)' },
	{ name: 'ledger-host-priced', ddl: () => 'create index ledger_host_priced on ledger_host (quality, priced_at)' },
];
