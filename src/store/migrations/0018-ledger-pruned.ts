import type { Step } from '../migrate.ts';

/** Up to when retention has ended segments: what is added up anew must leave the days before that alone, whatever the setting says now. */
export const ledgerPruned: readonly Step[] = [
	{ name: 'ledger-state-pruned', ddl: () => 'alter table ledger_state add column pruned_before bigint' },
];
